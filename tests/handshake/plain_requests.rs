//! `ServerHandshake::read_any`: a port on which plain HTTP is answered beside WebSockets.

use anyws::{
    Error, HeadError, Incoming, Message, PlainRequest, Rejection, Result, ServerHandshake,
    WebSocketConfig,
    testing::{self, Duplex},
};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, future::join};
use http::{Method, Response, StatusCode, Version, header};
use support::{
    config,
    raw::{Request, parse_head},
    runtimes,
    upgrades::{next, read_head},
};

/// Reads a request that comes as `bytes`; the client stays there.
async fn read(config: WebSocketConfig, bytes: &[u8]) -> (Result<Incoming>, Duplex) {
    let (mut near, far) = testing::duplex();
    near.write_all(bytes).await.unwrap();
    (ServerHandshake::read_any(far, config).await, near)
}

async fn plain(config: WebSocketConfig, request: &Request) -> (PlainRequest, Duplex) {
    match read(config, &request.bytes()).await {
        (Ok(Incoming::Http(plain)), near) => (plain, near),
        (other, _) => panic!("not plain HTTP: {other:?}\n{request}"),
    }
}

/// Reads an answer that ends the connection.
async fn answer(mut near: Duplex) -> (Response<()>, Vec<u8>) {
    let mut bytes = Vec::new();
    near.read_to_end(&mut bytes).await.unwrap();
    let (head, length) = parse_head(&bytes).expect("there is an answer");
    (head, bytes.split_off(length))
}

fn health() -> Request {
    Request::plain().line("GET /health?deep=1 HTTP/1.1")
}

runtimes! {
    async fn a_request_that_asks_for_no_websocket_is_handed_over_and_answered(rt) {
        let (plain, mut near) = plain(config(&rt), &health()).await;
        let request = plain.request();
        assert_eq!(request.method(), Method::GET);
        assert_eq!(request.uri(), "/health?deep=1");
        assert_eq!(request.headers()["host"], "localhost");
        let early = near.read(&mut [0; 1]).now_or_never();
        assert!(early.is_none(), "nothing is answered yet");

        let response = Response::builder().header("x-load", "7").body("healthy\n");
        let (responded, (head, body)) =
            join(plain.respond(response.unwrap()), answer(near)).await;
        responded.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(head.headers()["x-load"], "7");
        assert_eq!(head.headers()[header::CONTENT_LENGTH], "8");
        assert_eq!(head.headers()[header::CONNECTION], "close");
        assert_eq!(body, b"healthy\n");
    }

    async fn a_response_is_written_as_a_rejection_is(rt) {
        let response = || {
            let response = Response::builder().status(404).header("transfer-encoding", "chunked");
            response.body("no such page\n").unwrap()
        };
        let (plain, near) = plain(config(&rt), &health()).await;
        let (responded, ours) = join(plain.respond(response()), all(near)).await;
        responded.unwrap();

        let (incoming, near) = read(config(&rt), &Request::new().bytes()).await;
        let Ok(Incoming::WebSocket(handshake)) = incoming else {
            panic!("not a handshake: {incoming:?}");
        };
        let (rejected, theirs) = join(handshake.reject(response()), all(near)).await;
        rejected.unwrap();
        assert_eq!(ours, theirs);
    }

    async fn whatever_asks_for_no_websocket_is_plain(rt) {
        for request in [
            health(),
            health().line("POST /health HTTP/1.1").with("Content-Length", &["5"]),
            health().with("Upgrade", &["h2c"]).with("Connection", &["Upgrade"]),
            health().with("Upgrade", &["notwebsocket"]),
            // Without a body to be parsed, a head that ends in one is no harm.
            health().with("Transfer-Encoding", &["chunked"]),
            health().line("OPTIONS * HTTP/1.1"),
            // HTTP/1.0 knows no upgrade (RFC 9110, section 7.8), nor does it need a `Host`.
            Request::new().line("GET / HTTP/1.0"),
            Request::plain().line("OPTIONS / HTTP/1.0").with("Host", &[]),
        ] {
            let (plain, near) = plain(config(&rt), &request).await;
            let (responded, (head, _)) =
                join(plain.respond(Response::new("")), answer(near)).await;
            responded.unwrap();
            assert_eq!(head.status(), StatusCode::OK, "{request}");
            assert_eq!(head.version(), Version::HTTP_11);
        }
    }

    async fn the_answer_to_head_has_no_body(rt) {
        let request = health().line("HEAD /health HTTP/1.1");
        let (plain, near) = plain(config(&rt), &request).await;
        let (responded, (head, body)) =
            join(plain.respond(Response::new("healthy\n")), answer(near)).await;
        responded.unwrap();
        assert_eq!(head.headers()[header::CONTENT_LENGTH], "8");
        assert!(body.is_empty());
    }

    async fn an_answer_to_connect_has_a_body_only_if_it_refuses(rt) {
        for (status, text) in [(200, ""), (204, ""), (403, "no tunnel\n")] {
            let request = health().line("CONNECT a:80 HTTP/1.1");
            let (plain, near) = plain(config(&rt), &request).await;
            let response = Response::builder().status(status).body("no tunnel\n").unwrap();
            let (responded, (head, body)) = join(plain.respond(response), answer(near)).await;
            responded.unwrap();
            assert_eq!(head.status(), status);
            assert_eq!(head.headers().contains_key(header::CONTENT_LENGTH), status == 403);
            assert_eq!(body, text.as_bytes(), "{status}");
        }
    }

    async fn a_valid_handshake_is_one_and_keeps_its_early_frames(rt) {
        let (incoming, mut near) = read(config(&rt), &Request::new().bytes_then("early")).await;
        let Ok(Incoming::WebSocket(handshake)) = incoming else {
            panic!("not a handshake: {incoming:?}");
        };
        let mut socket = handshake.accept().await.unwrap();
        assert_eq!(read_head(&mut near).await.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(next(&mut socket).await, Message::text("early"));
    }

    async fn one_that_asks_in_the_wrong_way_is_refused(rt) {
        for (request, rejection) in [
            (Request::new().line("POST / HTTP/1.1"), Rejection::Method),
            (Request::new().with("Upgrade", &[]), Rejection::UpgradeHeader),
            (Request::new().with("Connection", &[]), Rejection::ConnectionHeader),
            (Request::new().with("Sec-WebSocket-Key", &[]), Rejection::KeyHeader),
            (Request::new().with("Sec-WebSocket-Version", &["8"]), Rejection::VersionHeader),
            (Request::new().with("Host", &[]), Rejection::Host),
            (Request::new().with("Content-Length", &["5"]), Rejection::Body),
        ] {
            let (incoming, near) = read(config(&rt), &request.bytes()).await;
            let is_refused = matches!(incoming, Err(Error::Rejected(ref it)) if *it == rejection);
            assert!(is_refused, "{incoming:?}\n{request}");
            assert_eq!(answer(near).await.0.status(), rejection.status());
        }
    }

    async fn what_is_no_http_is_refused_here_too(rt) {
        let (incoming, near) = read(config(&rt), b"\x16\x03\x01").await;
        let malformed = Rejection::Head(HeadError::Malformed);
        assert!(matches!(incoming, Err(Error::Rejected(it)) if it == malformed));
        assert_eq!(answer(near).await.0.status(), StatusCode::BAD_REQUEST);
    }

    async fn read_refuses_what_read_any_hands_over(rt) {
        let (mut near, far) = testing::duplex();
        near.write_all(&health().bytes()).await.unwrap();
        let read = ServerHandshake::read(far, config(&rt)).await;
        assert!(matches!(read, Err(Error::Rejected(Rejection::UpgradeHeader))));
        assert_eq!(answer(near).await.0.status(), StatusCode::UPGRADE_REQUIRED);
    }
}

async fn all(mut near: Duplex) -> Vec<u8> {
    let mut bytes = Vec::new();
    near.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[test]
#[should_panic(expected = "a final status")]
fn an_informational_response_is_a_mistake_that_panics() {
    futures::executor::block_on(async {
        let (plain, _near) = plain(WebSocketConfig::new(), &health()).await;
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let _ = plain.respond(response.body("").unwrap()).await;
    });
}
