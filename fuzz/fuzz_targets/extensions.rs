//! The negotiation of compression: offers and answers of any bytes, and between any two settings.

#![no_main]

use anyws::{
    DeflateConfig, Takeover,
    fuzzing::{Agreed, Offer, agree, answer},
    http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS},
};
use anyws_fuzz::extensions::{Parameters, list, parameters};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

const MAX_WINDOW: u8 = 15;

#[derive(Arbitrary, Debug)]
struct Input {
    client: Option<Settings>,
    server: Option<Settings>,
    lines: Vec<Line>,
}

#[derive(Arbitrary, Debug)]
struct Settings {
    takeover: Kept,
    takes_over: bool,
    send: Option<u8>,
    receive: Option<u8>,
    level: u8,
    threshold: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kept {
    None,
    Window,
    Dedicated,
}

#[derive(Arbitrary, Debug)]
enum Line {
    Raw(Vec<u8>),
    Words(Vec<Word>),
    Deflate(Vec<Word>),
}

/// Words that mean something, and what may be between them.
#[derive(Arbitrary, Debug)]
enum Word {
    Known(u8),
    Parameter(u8, u8),
    Raw(Vec<u8>),
}

const WORDS: [&str; 24] = [
    "permessage-deflate",
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
    "x-webkit-deflate-frame",
    "Permessage-Deflate",
    "; ",
    ";",
    ", ",
    ",",
    "=",
    "=\"",
    "\"",
    "\\",
    " ",
    "\t",
    "8",
    "9",
    "10",
    "15",
    "16",
    "08",
    "+9",
];

impl Line {
    fn value(&self) -> Option<HeaderValue> {
        let mut bytes = Vec::new();
        let words = match self {
            Self::Raw(raw) => return HeaderValue::from_bytes(raw).ok(),
            Self::Words(words) => words,
            Self::Deflate(words) => {
                bytes.extend(b"permessage-deflate");
                words
            }
        };
        for word in words {
            match word {
                Word::Known(at) => bytes.extend(WORDS[usize::from(*at) % WORDS.len()].bytes()),
                Word::Parameter(name, value) => {
                    let name = WORDS[1 + usize::from(*name) % 4];
                    bytes.extend(b"; ");
                    bytes.extend(name.bytes());
                    if (8..32).contains(value) {
                        let quote = if *value < 16 { "" } else { "\"" };
                        bytes.extend(format!("={quote}{}{quote}", value % 16).bytes());
                    }
                }
                Word::Raw(raw) => bytes.extend(raw),
            }
        }
        HeaderValue::from_bytes(&bytes).ok()
    }
}

impl Settings {
    fn takeover(&self) -> Takeover {
        match self.takeover {
            Kept::None => Takeover::None,
            Kept::Window => Takeover::Window,
            Kept::Dedicated => Takeover::Dedicated,
        }
    }

    fn send(&self) -> u8 {
        let default = match self.takeover {
            Kept::None => MAX_WINDOW,
            _ => 12,
        };
        self.send.map_or(default, |bits| 9 + bits % 7)
    }

    fn receive(&self) -> u8 {
        let default = if self.takes_over { 12 } else { MAX_WINDOW };
        self.receive.map_or(default, |bits| 9 + bits % 7)
    }

    fn config(&self) -> DeflateConfig {
        let mut config = DeflateConfig::new()
            .send_takeover(self.takeover())
            .receive_takeover(self.takes_over)
            .level(1 + self.level % 9)
            .threshold(self.threshold.into());
        if self.send.is_some() {
            config = config.send_window_bits(self.send());
        }
        if self.receive.is_some() {
            config = config.receive_window_bits(self.receive());
        }
        config
    }
}

fuzz_target!(|input: Input| {
    let (client, server) = (input.client.as_ref(), input.server.as_ref());
    let lines: Vec<_> = input.lines.iter().filter_map(Line::value).collect();
    both(client, server);
    offered(&lines, server);
    answered(&lines, client, server);
});

/// Whatever both have set, the handshake succeeds, and each end keeps what the other refers to.
fn both(client: Option<&Settings>, server: Option<&Settings>) {
    let offer = Offer::new(client.map(Settings::config).as_ref());
    let read = only(offer.headers());
    match client {
        None => assert_eq!(read, None),
        Some(client) => assert_eq!(read, Some(offer_of(client))),
    }
    let config = server.map(Settings::config);
    let (headers, for_server) = answer(&offer, config.as_ref()).expect("the request is valid");
    let for_client = agree(&offer, headers, None).expect("the answer is valid");
    let (Some(for_client), Some(for_server)) = (for_client, for_server) else {
        assert_eq!((for_client, for_server), (None, None));
        assert!(client.is_none() || server.is_none());
        return;
    };
    for (from, to) in [(for_client, for_server), (for_server, for_client)] {
        assert!((9..=MAX_WINDOW).contains(&from.window));
        if from.takeover != Takeover::None {
            let kept = to.peer_window.expect("the other end keeps a window");
            assert!(from.window <= kept, "{from:?} {to:?}");
        }
    }
}

/// Whatever is offered, the answer is one to the first acceptable offer.
fn offered(lines: &[HeaderValue], server: Option<&Settings>) {
    let mut offer = Offer::new(None);
    offer.set_extensions(lines.to_vec());
    let config = server.map(Settings::config);
    let answered = answer(&offer, config.as_ref());
    let list = list(lines.iter().map(HeaderValue::as_bytes));
    if list.is_none() && !lines.is_empty() {
        assert!(answered.is_err(), "a malformed list");
        return;
    }
    let (headers, agreed) = answered.expect("the list is well-formed");
    let mut offers = list.iter().flatten().filter_map(parameters);
    let first = offers.find(|offer| offer.server_max_window_bits != Some(8));
    let (Some(first), Some(server)) = (first, server) else {
        assert_eq!(agreed, None);
        assert!(!headers.contains_key(SEC_WEBSOCKET_EXTENSIONS));
        return;
    };
    let agreed = agreed.expect("there is an acceptable offer");
    let answer = only(&headers).expect("the answer tells what was agreed");
    match (answer.client_max_window_bits, first.client_max_window_bits) {
        (None, None | Some(_)) => {}
        (Some(Some(bits)), Some(most)) => assert!(bits <= most.unwrap_or(MAX_WINDOW)),
        wrong => panic!("{wrong:?}"),
    }
    if let Some(most) = first.server_max_window_bits {
        assert!(
            answer
                .server_max_window_bits
                .is_some_and(|bits| bits <= most)
        );
    }
    assert!(answer.server_no_context_takeover || !first.server_no_context_takeover);
    // What the server does by it.
    assert_eq!(
        agreed.window,
        answer.server_max_window_bits.unwrap_or(MAX_WINDOW)
    );
    assert!((9..=server.send()).contains(&agreed.window));
    let takeover = if answer.server_no_context_takeover {
        Takeover::None
    } else {
        server.takeover()
    };
    assert_eq!(agreed.takeover, takeover);
    let bits = answer
        .client_max_window_bits
        .flatten()
        .unwrap_or(MAX_WINDOW);
    let kept = (!answer.client_no_context_takeover).then_some(bits);
    assert_eq!(agreed.peer_window, kept);
    assert!(kept.is_none_or(|bits| server.takes_over && bits <= server.receive()));
}

/// Whatever is answered, it is accepted if it keeps to the offer, and not else.
fn answered(lines: &[HeaderValue], client: Option<&Settings>, server: Option<&Settings>) {
    let offer = Offer::new(client.map(Settings::config).as_ref());
    let config = server.map(Settings::config);
    let (headers, _) = answer(&offer, config.as_ref()).expect("the request is valid");
    let agreed = agree(&offer, headers, Some(lines.to_vec()));
    if lines.is_empty() {
        assert_eq!(agreed, Ok(None));
        return;
    }
    let list = list(lines.iter().map(HeaderValue::as_bytes));
    let answer = match list.as_deref() {
        Some([only]) => parameters(only),
        _ => None,
    };
    let (Some(answer), Some(client)) = (answer, client) else {
        assert!(agreed.is_err());
        return;
    };
    let offered = offer_of(client);
    let most = offered
        .client_max_window_bits
        .flatten()
        .unwrap_or(MAX_WINDOW);
    let bits = answer.server_max_window_bits.unwrap_or(MAX_WINDOW);
    let is_kept = (answer.server_no_context_takeover || !offered.server_no_context_takeover)
        && bits <= client.receive()
        && answer
            .client_max_window_bits
            .is_none_or(|bits| bits.is_some_and(|bits| bits <= most));
    let expected = is_kept.then(|| Agreed {
        takeover: if answer.client_no_context_takeover {
            Takeover::None
        } else {
            client.takeover()
        },
        level: 1 + client.level % 9,
        threshold: client.threshold.into(),
        window: answer
            .client_max_window_bits
            .flatten()
            .unwrap_or(MAX_WINDOW)
            .min(client.send()),
        peer_window: (!answer.server_no_context_takeover).then_some(bits),
    });
    assert_eq!(agreed.ok(), expected.map(Some));
}

/// Returns what a client with these settings has to offer.
fn offer_of(client: &Settings) -> Parameters {
    let smaller = |bits: u8| Some(bits).filter(|bits| *bits < MAX_WINDOW);
    Parameters {
        server_no_context_takeover: !client.takes_over,
        client_no_context_takeover: matches!(client.takeover, Kept::None),
        server_max_window_bits: smaller(client.receive()),
        client_max_window_bits: Some(smaller(client.send())),
    }
}

/// Reads the only extension.
fn only(headers: &HeaderMap) -> Option<Parameters> {
    let lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS);
    let list = list(lines.into_iter().map(HeaderValue::as_bytes))?;
    let [only] = &list[..] else {
        panic!("more than one extension");
    };
    Some(parameters(only).expect("the crate writes what is right"))
}
