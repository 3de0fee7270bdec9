//! Handshakes that are refused: an event for each, at DEBUG or, if the server is at fault, at WARN.

use std::sync::Arc;

use anyws::{
    ConfigError, Error, Io, Rejection, Runtime, ServerHandshake, Tracker, WebSocketConfig, accept,
    testing,
};
use futures::{AsyncWriteExt, executor::block_on};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use support::{
    raw::{self, KEY},
    runtimes,
    still::Still,
    traces::Log,
    upgrades::{Upgrade, echo, extract},
};

/// What no event may show.
const SECRET: &str = "s3cret";

/// Makes a valid request that is full of secrets.
fn request() -> Request<()> {
    let (mut request, _client) = testing::upgrade("/chat?token=s3cret");
    for (name, value) in [
        ("cookie", "session=s3cret"),
        ("authorization", "Bearer s3cret"),
        ("sec-websocket-protocol", "chat, token.s3cret"),
        ("origin", "https://s3cret.example"),
    ] {
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(name, value);
    }
    request
}

fn extracted() -> Upgrade {
    Upgrade::from_request(&mut request()).expect("the request is valid")
}

/// Demands that one event was made, with a text.
#[track_caller]
fn assert_only(log: &mut Log, text: &str) {
    let entries = log.rest();
    let texts: Vec<_> = entries.iter().map(|entry| &*entry.text).collect();
    assert_eq!(texts, [text]);
    assert!(!text.contains(SECRET) && !text.contains(KEY));
}

/// Demands that an extraction is refused with an event of a level.
#[track_caller]
fn assert_rejected(level: &str, rejection: &Rejection, change: impl FnOnce(&mut Request<()>)) {
    let mut log = Log::here();
    let mut request = request();
    change(&mut request);
    let rejected = Upgrade::from_request(&mut request).expect_err("a refusal");
    assert_eq!(rejected, *rejection);
    let status = rejection.status().as_u16();
    let text = format!("{level} handshake refused status={status} reason={rejection}");
    assert_only(&mut log, &text);
}

#[test]
fn an_extraction_that_fails_by_the_client_is_seen_at_debug() {
    assert_rejected("DEBUG", &Rejection::Method, |request| {
        *request.method_mut() = Method::POST;
    });
    assert_rejected("DEBUG", &Rejection::UpgradeHeader, |request| {
        request.headers_mut().remove(header::UPGRADE);
    });
    assert_rejected("DEBUG", &Rejection::ProtocolHeader, |request| {
        let twice = HeaderValue::from_static("token.s3cret, token.s3cret");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", twice);
    });
    assert_rejected("DEBUG", &Rejection::KeyHeader, |request| {
        let key = HeaderValue::from_static(SECRET);
        request.headers_mut().insert("sec-websocket-key", key);
    });
}

#[test]
fn an_extraction_that_fails_by_the_server_is_seen_at_warn() {
    assert_rejected("WARN", &Rejection::NotUpgradable, |request| {
        request.extensions_mut().clear();
    });
}

#[test]
fn limits_and_drains_do_what_they_were_told_to() {
    assert_rejected("DEBUG", &Rejection::TooManySockets, |request| {
        request
            .extensions_mut()
            .insert(Tracker::new().max_sockets(0));
    });
    assert_rejected("DEBUG", &Rejection::Draining, |request| {
        let tracker = Tracker::new();
        block_on(tracker.drain(anyws::Drain::new()));
        request.extensions_mut().insert(tracker);
    });
}

#[test]
fn an_extraction_that_succeeds_is_no_event() {
    let mut log = Log::here();
    let _ws = extracted();
    assert!(log.rest().is_empty());
}

/// Demands the event of an upgrade that the settings refuse, and none if somebody listens.
#[track_caller]
fn assert_refused(text: &str, set: impl Fn(Upgrade) -> Upgrade) {
    let mut log = Log::here();
    let ws = set(extracted().runtime(Arc::new(Still::default())));
    assert!(!ws.on_upgrade(echo).status().is_informational());
    assert_only(&mut log, text);

    let ws = set(extracted().runtime(Arc::new(Still::default())));
    let response = ws.on_failed_upgrade(drop).on_upgrade(echo);
    assert!(!response.status().is_informational());
    assert!(log.rest().is_empty());
}

#[test]
fn settings_that_refuse_a_client_are_seen_at_debug() {
    assert_refused(
        "DEBUG handshake refused status=403 \
         reason=header `Origin` names no origin that is allowed here",
        |ws| ws.allowed_origins(["https://chat.example"]),
    );
    assert_refused(
        "DEBUG handshake refused status=400 \
         reason=header `Sec-WebSocket-Protocol` offers no subprotocol that is supported here",
        |ws| ws.protocols(["graphql-ws"]).require_protocol(true),
    );
}

#[test]
fn settings_that_cannot_work_are_seen_at_warn() {
    assert_refused(
        "WARN handshake refused status=500 \
         reason=invalid configuration: fragment_size is 1: at least 1024 bytes are needed",
        |ws| ws.fragment_size(1),
    );
    assert_refused(
        &format!(
            "WARN handshake refused status=500 reason={}",
            Error::NoRuntime
        ),
        |ws| {
            let config = WebSocketConfig::new().set_close_timeout(std::time::Duration::MAX);
            ws.set_config(config)
                .runtime(Arc::new(Still::without_timers()))
        },
    );
}

#[test]
fn the_names_of_subprotocols_stay_secret() {
    let text = "WARN handshake refused status=500 \
                reason=invalid configuration: a subprotocol is no token, or was not offered";
    assert_refused(text, |ws| ws.select_protocol(|_| Some("other.s3cret")));
    assert_refused(text, |ws| ws.protocols(["the s3cret"]));
}

#[test]
fn a_refusal_that_accept_returns_is_no_event() {
    let mut log = Log::here();
    let ws = extracted().allowed_origins(["https://chat.example"]);
    let (response, upgrading) = ws.accept();
    assert_eq!(response.status(), 403);
    block_on(upgrading).unwrap_err();
    assert!(log.rest().is_empty());
}

/// Accepts a connection whose client has sent `bytes`.
async fn accepted(bytes: Vec<u8>, config: WebSocketConfig) -> Result<ServerHandshake, Error> {
    let (mut far, near) = testing::duplex();
    far.write_all(&bytes).await.unwrap();
    // The client is still there when it is answered.
    read(near, config, far).await
}

async fn read(
    near: impl Io + 'static,
    config: WebSocketConfig,
    _far: testing::Duplex,
) -> Result<ServerHandshake, Error> {
    ServerHandshake::read(near, config).await
}

runtimes! {
    async fn bare_streams_that_are_refused(rt) {
        let (rt, mut log) = Log::start(&rt);
        let secret = raw::Request::new().line("GET /chat?token=s3cret HTTP/1.1");
        let key = secret.clone().with("Sec-WebSocket-Key", &[SECRET]).bytes();
        accepted(key, support::config(&rt)).await.unwrap_err();
        let reason = Rejection::KeyHeader;
        assert_only(&mut log, &format!("DEBUG handshake refused status=400 reason={reason}"));

        accepted(b"s3cret\r\n\r\n".to_vec(), support::config(&rt)).await.unwrap_err();
        let [entry] = &log.rest()[..] else { panic!("not one event") };
        assert!(entry.text.starts_with("DEBUG handshake refused status=400 reason="));
        assert!(!entry.text.contains(SECRET));

        let handshake = accepted(secret.bytes(), support::config(&rt)).await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("upgrade", HeaderValue::from_static(SECRET));
        handshake.accept_with(headers).await.unwrap_err();
        let reason = Error::from(ConfigError::HandshakeHeader(header::UPGRADE));
        assert_only(&mut log, &format!("WARN handshake refused status=500 reason={reason}"));
    }

    async fn bare_streams_whose_settings_cannot_work(rt) {
        let (rt, mut log) = Log::start(&rt);
        let config = support::config(&rt).set_protocols(["the s3cret"]);
        accept(testing::duplex().0, config).await.unwrap_err();
        // There is no answer, so there is no status.
        assert_only(&mut log, "WARN handshake refused reason=invalid configuration: \
                               a subprotocol is no token, or was not offered");

        let (near, _far) = testing::duplex();
        let rt: Arc<dyn Runtime> = Arc::new(Still::without_timers());
        let config = support::config(&rt).set_head_timeout(std::time::Duration::MAX);
        accept(near, config).await.unwrap_err();
        let reason = Error::NoRuntime;
        assert_only(&mut log, &format!("WARN handshake refused reason={reason}"));
    }

    async fn a_client_that_leaves_before_its_request_was_not_refused(rt) {
        let (rt, mut log) = Log::start(&rt);
        let (near, far) = testing::duplex();
        drop(far);
        let error = accept(near, support::config(&rt)).await.unwrap_err();
        assert!(matches!(error, Error::ClosedWithoutHandshake), "{error:?}");
        assert!(log.rest().is_empty());
    }

    async fn a_handshake_that_succeeds_is_no_refusal(rt) {
        let (rt, mut log) = Log::start(&rt);
        let (ws, client) = extract(&rt);
        let mut socket = client.open(&ws.on_upgrade(echo)).unwrap();
        socket.close(None).await.unwrap();
        assert!(log.rest().is_empty());
    }
}
