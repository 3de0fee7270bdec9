//! The rules 58 to 60: offers and answers (RFC 7692, sections 5 and 7.1).
//!
//! The negotiation is the same on every runtime: no time passes, and no byte moves.

use anyws::{
    DeflateConfig, HandshakeError, Rejection, Takeover, WebSocketConfig, WebSocketUpgrade,
    testing::{self, OpenError},
};
use http::{HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};

type Upgrade = WebSocketUpgrade<String>;

/// Returns the server's answer to these lines.
fn try_answer(lines: &[&str], deflate: DeflateConfig) -> Result<Option<String>, Rejection> {
    let (mut request, _) = testing::upgrade("/");
    for line in lines {
        let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
        request.headers_mut().append(SEC_WEBSOCKET_EXTENSIONS, line);
    }
    let upgrade = Upgrade::from_request(&mut request)?;
    let (response, _) = upgrade.deflate(deflate).accept();
    assert_eq!(response.status(), 101);
    let answers = response.headers().get_all(SEC_WEBSOCKET_EXTENSIONS);
    let answers: Vec<_> = answers.iter().collect();
    assert!(answers.len() <= 1);
    let answer = answers.first().map(|it| it.to_str().unwrap().to_owned());
    Ok(answer)
}

fn answer(offer: &str, deflate: DeflateConfig) -> Option<String> {
    try_answer(&[offer], deflate).expect("the offer is well-formed")
}

const NO_TAKEOVER: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Settings that take over in both directions with the largest windows.
fn takeover() -> DeflateConfig {
    DeflateConfig::new()
        .send_takeover(Takeover::Window)
        .receive_takeover(true)
        .send_window_bits(15)
        .receive_window_bits(15)
}

#[test]
fn rule_58_an_offer_has_only_the_four_parameters_each_once_with_a_legal_value_rfc7692_7_1() {
    for parameter in [
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=09",
        "server_max_window_bits=010",
        "server_max_window_bits=+10",
        "server_max_window_bits=-10",
        "server_max_window_bits=1",
        "server_max_window_bits=100",
        "server_max_window_bits=1e1",
        "server_max_window_bits=ten",
        "server_max_window_bits=10; server_max_window_bits=10",
        // zlib cannot compress with a window of 256 bytes.
        "server_max_window_bits=8",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=08",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits=10; client_max_window_bits",
        "server_no_context_takeover=1",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover=true",
        "client_no_context_takeover; client_no_context_takeover",
        "unknown",
        "Server_No_Context_Takeover",
        "server_max_window_bits=10; unknown=1",
    ] {
        let offer = format!("permessage-deflate; {parameter}");
        assert_eq!(answer(&offer, takeover()), None, "{offer}");
        let twice = format!("{offer}, permessage-deflate");
        let second = answer(&twice, takeover());
        assert_eq!(second.as_deref(), Some("permessage-deflate"), "{offer}");
    }
    for other in [
        "x-webkit-deflate-frame",
        "Permessage-Deflate",
        "permessage-deflat",
    ] {
        assert_eq!(answer(other, takeover()), None, "{other}");
    }
}

#[test]
fn rule_58_the_answer_is_what_the_offer_and_the_settings_allow_rfc7692_7_1() {
    let new = DeflateConfig::new;
    let windows = || new().send_takeover(Takeover::Window).receive_takeover(true);
    let dedicated = || new().send_takeover(Takeover::Dedicated);
    let cases = [
        (new(), "", NO_TAKEOVER),
        (new(), "; client_max_window_bits", NO_TAKEOVER),
        (new(), "; server_no_context_takeover", NO_TAKEOVER),
        (takeover(), "", "permessage-deflate"),
        (takeover(), "; client_max_window_bits", "permessage-deflate"),
        (
            takeover(),
            "; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover",
        ),
        (
            takeover(),
            "; client_no_context_takeover",
            "permessage-deflate; client_no_context_takeover",
        ),
        // A window that was asked for is answered, and may be smaller.
        (
            takeover(),
            "; server_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=15",
        ),
        (
            takeover(),
            "; server_max_window_bits=\"1\\0\"",
            "permessage-deflate; server_max_window_bits=10",
        ),
        (
            windows(),
            "; server_max_window_bits=15; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            windows(),
            "; client_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=8",
        ),
        (
            windows(),
            "; client_max_window_bits=\"15\"",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        // Such a client uses the largest window, which is more than this server keeps.
        (
            windows(),
            "",
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=12",
        ),
        (
            dedicated().send_window_bits(9),
            "; server_max_window_bits=11; client_max_window_bits",
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=9",
        ),
    ];
    for (deflate, parameters, expected) in cases {
        let offer = format!("permessage-deflate{parameters}");
        let found = answer(&offer, deflate);
        assert_eq!(found.as_deref(), Some(expected), "{offer} {deflate:?}");
    }
}

#[test]
fn rule_59_the_window_of_a_client_is_answered_only_if_it_was_offered_rfc7692_7_1_2_2() {
    let small = takeover().receive_window_bits(10);
    let answered = |offer| {
        answer(offer, small)
            .unwrap()
            .contains("client_max_window_bits")
    };
    assert!(!answered("permessage-deflate"));
    assert!(!answered("permessage-deflate; server_max_window_bits=12"));
    assert!(answered("permessage-deflate; client_max_window_bits"));
    assert!(answered("permessage-deflate; client_max_window_bits=15"));
}

#[test]
fn rule_60_the_first_acceptable_offer_of_several_is_answered_rfc7692_5() {
    let expected = Some("permessage-deflate; server_max_window_bits=11".to_owned());
    for lines in [
        &["permessage-deflate; server_max_window_bits=11, permessage-deflate"][..],
        &[
            "permessage-deflate; server_max_window_bits=8",
            "foo; a=1, permessage-deflate; server_max_window_bits=11",
            "permessage-deflate; server_max_window_bits=12",
        ],
        &[
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; x",
            "permessage-deflate; server_max_window_bits=11",
        ],
    ] {
        assert_eq!(
            try_answer(lines, takeover()).unwrap(),
            expected,
            "{lines:?}"
        );
    }
}

/// Chromium's, Firefox's and Safari's offers.
#[test]
fn the_offers_of_browsers_are_accepted() {
    for offer in [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate",
        "permessage-deflate, x-webkit-deflate-frame",
        "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits=15",
    ] {
        assert!(answer(offer, DeflateConfig::new()).is_some(), "{offer}");
    }
}

#[test]
fn what_is_not_of_the_abnf_is_refused_even_beside_a_good_offer() {
    for line in [
        "permessage-deflate; ;",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=\"10",
        "permessage-deflate; server_max_window_bits=1 0",
        "permessage-deflate;\u{a0}server_no_context_takeover",
        "permessage-deflate, =",
    ] {
        let lines = ["permessage-deflate", line];
        let refused = try_answer(&lines, takeover());
        assert_eq!(refused, Err(Rejection::ExtensionsHeader), "{line:?}");
    }
}

#[test]
fn a_client_asks_for_what_its_settings_want() {
    let new = DeflateConfig::new;
    let cases = [
        (new(), format!("{NO_TAKEOVER}; client_max_window_bits")),
        (
            takeover(),
            "permessage-deflate; client_max_window_bits".to_owned(),
        ),
        (
            new().receive_takeover(true).receive_window_bits(9),
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=9; \
             client_max_window_bits"
                .to_owned(),
        ),
        (
            new()
                .send_takeover(Takeover::Dedicated)
                .send_window_bits(10),
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=10".to_owned(),
        ),
    ];
    for (deflate, expected) in cases {
        let config = WebSocketConfig::new().set_deflate(deflate);
        let (request, _) = testing::upgrade_with("/", &config);
        assert_eq!(request.headers()[SEC_WEBSOCKET_EXTENSIONS], expected);
    }
    let (request, _) = testing::upgrade("/");
    assert!(!request.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS));
}

/// Opens a client's socket with an answer. Returns whether it is compressed.
fn open(deflate: Option<DeflateConfig>, answers: &[&str]) -> Result<bool, OpenError> {
    let config = WebSocketConfig::new().set_deflate(deflate);
    let (mut request, client) = testing::upgrade_with("/", &config);
    let (mut response, _) = Upgrade::from_request(&mut request).unwrap().accept();
    for answer in answers {
        let answer = HeaderValue::from_str(answer).unwrap();
        response
            .headers_mut()
            .append(SEC_WEBSOCKET_EXTENSIONS, answer);
    }
    client.open(&response).map(|socket| socket.is_compressed())
}

#[test]
fn a_client_takes_an_answer_that_keeps_to_its_offer() {
    let takeover = takeover();
    let small = DeflateConfig::new()
        .receive_takeover(true)
        .receive_window_bits(10)
        .send_takeover(Takeover::Window)
        .send_window_bits(11);
    for (deflate, answer) in [
        (DeflateConfig::new(), NO_TAKEOVER),
        (
            DeflateConfig::new(),
            "permessage-deflate; server_no_context_takeover",
        ),
        (takeover, "permessage-deflate"),
        (takeover, "permessage-deflate; server_max_window_bits=8"),
        // It cannot compress with that window, and sends everything as it is.
        (takeover, "permessage-deflate; client_max_window_bits=8"),
        (
            takeover,
            "permessage-deflate; client_max_window_bits=\"15\"",
        ),
        (
            small,
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11",
        ),
        (
            small,
            "permessage-deflate; server_max_window_bits=9; client_no_context_takeover",
        ),
    ] {
        assert_eq!(open(Some(deflate), &[answer]), Ok(true), "{answer}");
    }
    assert_eq!(open(Some(takeover), &[]), Ok(false));
    assert_eq!(open(None, &[]), Ok(false));
}

#[test]
fn a_client_fails_an_answer_that_does_not() {
    let small = takeover().receive_window_bits(10).send_window_bits(11);
    let cases: [(_, &[&str]); 16] = [
        (None, &["permessage-deflate"]),
        (Some(takeover()), &[""]),
        (Some(takeover()), &["foo"]),
        (Some(takeover()), &["permessage-deflate, foo"]),
        (
            Some(takeover()),
            &["permessage-deflate", "permessage-deflate"],
        ),
        (Some(takeover()), &["permessage-deflate; unknown"]),
        (
            Some(takeover()),
            &["permessage-deflate; client_max_window_bits"],
        ),
        (
            Some(takeover()),
            &["permessage-deflate; client_max_window_bits=16"],
        ),
        (
            Some(takeover()),
            &["permessage-deflate; server_max_window_bits"],
        ),
        (
            Some(takeover()),
            &["permessage-deflate; server_max_window_bits=7"],
        ),
        (
            Some(takeover()),
            &["permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"],
        ),
        (
            Some(takeover()),
            &["permessage-deflate; server_no_context_takeover=1"],
        ),
        // What was asked for is not granted.
        (Some(DeflateConfig::new()), &["permessage-deflate"]),
        (Some(small), &["permessage-deflate"]),
        (
            Some(small),
            &["permessage-deflate; server_max_window_bits=11"],
        ),
        (
            Some(small),
            &["permessage-deflate; server_max_window_bits=10; client_max_window_bits=12"],
        ),
    ];
    for (deflate, answers) in cases {
        let failed = open(deflate, answers);
        let expected = Err(OpenError::Handshake(HandshakeError::Extensions));
        assert_eq!(failed, expected, "{answers:?}");
    }
}
