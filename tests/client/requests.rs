//! What a client sends (RFC 6455, section 4.1), and what it refuses to send.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyws::{
    ClientBuilder, ConfigError, DeflateConfig, Error, InvalidUri, Rejection, Runtime, Tracker,
    WebSocketConfig,
};
use futures::{AsyncWriteExt, FutureExt, executor::block_on};
use http::{HeaderName, header};
use support::{config, network::Scripted, runtimes, still::Still};

use crate::server::{Server, accepted, opened};

fn builder(uri: &str, rt: &Arc<dyn Runtime>) -> ClientBuilder {
    ClientBuilder::new(uri).config(config(rt))
}

/// Returns the request of a client.
async fn request(client: ClientBuilder) -> Server {
    let hang_up = async |server: &mut Server| server.io.close().await.unwrap();
    opened(client, hang_up).await.1
}

/// Returns the error of a client that must not even connect.
fn refused(client: ClientBuilder) -> Error {
    let still: Arc<dyn Runtime> = Arc::new(Still::default());
    let network = Scripted::new(&still, &[]);
    let connecting = client.clone().network(network.clone()).connect();
    let error = connecting.now_or_never().expect("nothing is waited for");
    assert_eq!((network.resolved(), network.tried()), (vec![], vec![]));
    let (near, _far) = anyws::testing::duplex();
    let over = client
        .connect_over(near)
        .now_or_never()
        .expect("nothing is waited for");
    assert_eq!(
        format!("{:?}", error.as_ref().err()),
        format!("{:?}", over.err())
    );
    error.expect_err("the settings are wrong")
}

fn refused_config(client: ClientBuilder) -> ConfigError {
    match refused(client) {
        Error::Config(error) => error,
        other => panic!("{other:?}"),
    }
}

runtimes! {
    async fn rule_20_a_request_is_what_the_rfc_demands_and_nothing_more(rt) {
        let mut keys = HashSet::new();
        for _ in 0..20 {
            let server = request(builder("ws://a.example:8080/b?c=d", &rt)).await;
            let key = server.header("sec-websocket-key").to_owned();
            assert_eq!(key.len(), 24);
            let expected = format!(
                "GET /b?c=d HTTP/1.1\r\nhost: a.example:8080\r\nupgrade: websocket\r\n\
                 connection: Upgrade\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: {key}\r\n\r\n"
            );
            assert_eq!(server.head, expected);
            assert!(keys.insert(key), "a key was used twice");
        }
    }

    async fn host_is_that_of_the_uri_without_the_port_of_the_scheme(rt) {
        for (uri, host, target) in [
            ("ws://a", "a", "/"),
            ("WS://A.Example:80/", "A.Example", "/"),
            ("ws://a:443", "a:443", "/"),
            ("ws://[::1]/x", "[::1]", "/x"),
            ("ws://[::1]:81?y", "[::1]:81", "/?y"),
            ("ws://a?b=/%20", "a", "/?b=/%20"),
        ] {
            let server = request(builder(uri, &rt)).await;
            assert_eq!(server.header("host"), host, "{uri}");
            assert_eq!(server.request.uri(), target, "{uri}");
        }
    }

    async fn headers_origin_and_subprotocols_are_sent(rt) {
        let client = builder("ws://a", &rt)
            .header(header::AUTHORIZATION, "Bearer secret")
            .header("cookie", "a=1")
            .header("x-twice", "1")
            .header(HeaderName::from_static("x-twice"), "2")
            .origin("https://app.example")
            .protocols(["chat.v2", "chat.v1"]);
        let server = request(client).await;
        assert_eq!(server.header("authorization"), "Bearer secret");
        assert_eq!(server.header("cookie"), "a=1");
        assert_eq!(
            server.request.headers().get_all("x-twice").iter().count(),
            2
        );
        assert_eq!(server.header("origin"), "https://app.example");
        assert_eq!(server.header("sec-websocket-protocol"), "chat.v2, chat.v1");
        assert!(
            !server
                .request
                .headers()
                .contains_key("sec-websocket-extensions")
        );
    }

    async fn the_builder_wins_over_the_config_in_any_order(rt) {
        let shared = config(&rt).set_protocols(["shared"]);
        let server = request(ClientBuilder::new("ws://a").config(shared.clone())).await;
        assert_eq!(server.header("sec-websocket-protocol"), "shared");
        let client = ClientBuilder::new("ws://a")
            .protocols(["own"])
            .config(shared.clone());
        assert_eq!(
            request(client).await.header("sec-websocket-protocol"),
            "own"
        );
        let client = ClientBuilder::new("ws://a")
            .config(shared)
            .protocols(["own"]);
        assert_eq!(
            request(client).await.header("sec-websocket-protocol"),
            "own"
        );
    }

    async fn a_builder_can_be_used_again(rt) {
        let client = builder("ws://a/b", &rt).header("x", "y");
        for _ in 0..2 {
            let (socket, server) = accepted(client.clone(), |answer| answer).await;
            assert_eq!(server.header("x"), "y");
            drop(socket);
        }
    }

    async fn a_socket_joins_the_tracker_of_its_settings(rt) {
        let tracker = Tracker::new().max_sockets(1);
        let settings = config(&rt).set_tracker(tracker.clone());
        let client = ClientBuilder::new("ws://a").config(settings);
        let (socket, server) = accepted(client.clone(), |answer| answer).await;
        assert_eq!(tracker.open(), 1);
        let error = refused(client.clone());
        assert!(
            matches!(error, Error::Rejected(Rejection::TooManySockets)),
            "{error:?}"
        );
        drop((socket, server));
        // A handshake that fails gives its permit back.
        while tracker.open() > 0 {
            support::tasks::yield_to_tasks(&rt).await;
        }
        let (failed, _server) = opened(client, async |server| {
            let answer = server.answer().line("HTTP/1.1 404 Not Found");
            server.send(&answer.with("Content-Length", &["0"])).await;
        })
        .await;
        assert!(failed.is_err());
        assert_eq!(tracker.open(), 0);
    }
}

#[test]
fn rule_18_only_uris_of_websockets_are_connected_to() {
    for (uri, reason) in [
        ("http://a", InvalidUri::Scheme),
        ("https://a", InvalidUri::Scheme),
        ("a", InvalidUri::Scheme),
        ("ws://a/b#c", InvalidUri::Fragment),
        ("ws://a#", InvalidUri::Fragment),
        ("ws://me:secret@a", InvalidUri::UserInfo),
        ("ws://b\u{fc}cher.example", InvalidUri::NotAscii),
        ("ws://a,b", InvalidUri::Host),
        ("ws://a:99999", InvalidUri::Port),
        ("ws://a b", InvalidUri::Host),
        ("ws://a/b\r\nx: y", InvalidUri::Malformed),
        ("", InvalidUri::Scheme),
    ] {
        let error = refused_config(ClientBuilder::new(uri));
        assert_eq!(error, ConfigError::Uri(reason), "{uri:?}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[test]
fn a_header_of_the_handshake_is_refused() {
    for name in [
        "Host",
        "Connection",
        "Upgrade",
        "Origin",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Anything",
        "Content-Length",
        "Transfer-Encoding",
    ] {
        let error = refused_config(ClientBuilder::new("ws://a").header(name, "x"));
        let expected = ConfigError::HandshakeHeader(name.parse().unwrap());
        assert_eq!(error, expected);
    }
}

#[test]
fn no_header_is_injected() {
    let client = || ClientBuilder::new("ws://a");
    for value in ["a\r\nx: y", "a\nb", "\0", "\u{7f}"] {
        let error = refused_config(client().header("cookie", value));
        assert_eq!(error, ConfigError::HeaderValue(header::COOKIE));
        assert!(!error.to_string().contains(value));
    }
    for name in ["", "a b", "a:", "a\r\nb", "\u{e4}"] {
        let error = refused_config(client().header(name, "x"));
        assert_eq!(error, ConfigError::HeaderName, "{name:?}");
    }
    // The first fault is the one that is told.
    let error = refused_config(client().header("a b", "x").header("host", "y"));
    assert_eq!(error, ConfigError::HeaderName);
    for origin in ["", "a", "https://a/b", "https://a\r\nx: y", "https://a b"] {
        let error = refused_config(client().origin(origin));
        assert_eq!(error, ConfigError::ClientOrigin(origin.to_owned()));
    }
    for protocol in ["", "a b", "a,b", "a\r\nx: y"] {
        let error = refused_config(client().protocols([protocol.to_owned()]));
        assert_eq!(error, ConfigError::Protocol(protocol.to_owned()));
    }
}

#[test]
fn rule_21_subprotocols_are_offered_once() {
    let error = refused_config(ClientBuilder::new("ws://a").protocols(["a", "b", "a"]));
    assert_eq!(error, ConfigError::RepeatedProtocol("a".to_owned()));
    let error = refused_config(ClientBuilder::new("ws://a").require_protocol(true));
    assert_eq!(error, ConfigError::NoProtocols);
}

#[test]
fn more_headers_than_a_map_holds_are_refused() {
    let mut client = ClientBuilder::new("ws://a");
    for number in 0..40_000 {
        client = client.header(format!("x-{number}"), "y");
    }
    assert_eq!(refused_config(client), ConfigError::TooManyHeaders);
}

#[test]
fn settings_that_cannot_work_are_refused_before_connecting() {
    let config = WebSocketConfig::new().set_deflate(DeflateConfig::new().level(0));
    let error = refused(ClientBuilder::new("ws://a").config(config));
    assert!(matches!(error, Error::Config(_)), "{error:?}");
    let second = Duration::from_secs(1);
    for client in [
        ClientBuilder::new("ws://a").connect_timeout(second),
        ClientBuilder::new("ws://a").handshake_timeout(second),
        ClientBuilder::new("ws://a").config(WebSocketConfig::new().set_keepalive(second, second)),
    ] {
        // Without timers they could not be kept.
        let still: Arc<dyn Runtime> = Arc::new(Still::without_timers());
        let network = Scripted::new(&still, &[]);
        let error = block_on(client.network(network).connect()).unwrap_err();
        assert!(matches!(error, Error::NoRuntime), "{error:?}");
    }
    for (client, setter) in [
        (
            ClientBuilder::new("ws://a").connect_timeout(Duration::ZERO),
            "connect_timeout",
        ),
        (
            ClientBuilder::new("ws://a").handshake_timeout(Duration::ZERO),
            "handshake_timeout",
        ),
    ] {
        assert_eq!(refused_config(client), ConfigError::ZeroTimeout(setter));
    }
    let tracker = Tracker::new().max_per_client(1, |_, ip| ip);
    let config = WebSocketConfig::new().set_tracker(tracker);
    let error = refused_config(ClientBuilder::new("ws://a").config(config));
    assert_eq!(error, ConfigError::TrackerNeedsRequest);
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_the_feature_for_tls_a_uri_that_asks_for_it_is_refused() {
    let error = refused_config(ClientBuilder::new("wss://a"));
    assert_eq!(error, ConfigError::TlsNotCompiled);
}

#[test]
fn a_builder_shows_no_secret() {
    let client = ClientBuilder::new("ws://a?token=secret")
        .header("authorization", "secret")
        .origin("https://secret");
    assert!(!format!("{client:?}").contains("secret"));
}
