//! What a log shows of a request: neither its query, nor the value of a header.

use std::fmt::Debug;

use anyws::{Error, Incoming, ServerHandshake, WebSocketConfig, WebSocketUpgrade, testing};
use futures::{AsyncWriteExt, executor::block_on};
use support::raw::{KEY, Request};

const SECRET: &str = "s3cret";

/// Headers that carry what is nobody else's business.
const HEADERS: [(&str, &str); 5] = [
    ("Cookie", "session=s3cret"),
    ("Authorization", "Bearer s3cret"),
    ("Sec-WebSocket-Protocol", "chat, token.s3cret"),
    ("Origin", "https://s3cret.example"),
    ("X-s3cret", "a"),
];

fn secretive(request: Request) -> Request {
    let request = request.line("GET /chat?token=s3cret HTTP/1.1");
    let with = |request: Request, (name, value): (&str, &str)| request.with(name, &[value]);
    HEADERS.into_iter().fold(request, with)
}

fn read(request: &Request) -> Result<Incoming, Error> {
    let (mut near, far) = testing::duplex();
    block_on(async {
        near.write_all(&request.bytes()).await.unwrap();
        ServerHandshake::read_any(far, WebSocketConfig::new()).await
    })
}

/// Demands that the `Debug` of a value tells no secret; returns it.
fn discreet(value: &impl Debug) -> String {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!text.contains(SECRET), "{text}");
        assert!(!text.contains(KEY), "{text}");
    }
    format!("{value:?}")
}

#[test]
fn a_handshake_shows_its_method_and_its_path() {
    let incoming = read(&secretive(Request::new())).unwrap();
    assert!(discreet(&incoming).contains("GET /chat"));
    let Incoming::WebSocket(handshake) = incoming else {
        panic!("not a handshake: {incoming:?}");
    };
    assert!(discreet(&handshake).contains("GET /chat"));
}

#[test]
fn a_plain_request_shows_its_method_and_its_path() {
    let incoming = read(&secretive(Request::plain())).unwrap();
    assert!(discreet(&incoming).contains("GET /chat"));
    let Incoming::Http(plain) = incoming else {
        panic!("not plain HTTP: {incoming:?}");
    };
    assert!(discreet(&plain).contains("GET /chat"));
}

#[test]
fn the_host_of_a_target_is_not_shown_either() {
    let line = "GET http://s3cret.example/chat?token=s3cret HTTP/1.1";
    for request in [Request::new(), Request::plain()] {
        let incoming = read(&secretive(request).line(line)).unwrap();
        assert!(discreet(&incoming).contains("GET /chat"));
    }
    // Where user information may be, nothing is shown at all.
    let line = "GET http://me:s3cret@a.example/chat HTTP/1.1";
    discreet(&read(&secretive(Request::new()).line(line)).unwrap_err());
}

#[test]
fn an_extractor_shows_nothing_of_its_request() {
    let mut request = testing::upgrade("/chat?token=s3cret").0;
    for (name, value) in HEADERS {
        let name = http::HeaderName::try_from(name).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let upgrade = WebSocketUpgrade::<String>::from_request(&mut request).unwrap();
    discreet(&upgrade);
    // A server that takes a token as a subprotocol answers with it.
    let upgrade = upgrade.select_protocol(|offered| offered.last().map(str::to_owned));
    discreet(&upgrade);
    let (_response, upgrading) = upgrade.accept();
    discreet(&upgrading);
}

#[test]
fn a_refusal_shows_nothing_of_its_request() {
    for name in ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key"] {
        let request = secretive(Request::new()).with(name, &["s3cret, s3cret"]);
        let error = read(&request).unwrap_err();
        discreet(&error);
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}

#[test]
fn a_socket_its_halves_and_a_stream_show_nothing_of_what_they_carry() {
    let (mut request, client) = testing::upgrade("/");
    let protocol = "token.s3cret";
    let headers = request.headers_mut();
    headers.insert("Sec-WebSocket-Protocol", protocol.parse().unwrap());
    let ws = WebSocketUpgrade::<String>::from_request(&mut request).unwrap();
    let (response, upgrading) = ws.select_protocol(|_| Some(protocol)).accept();
    let mut client = client.open(&response).unwrap();
    let mut server = block_on(upgrading).unwrap();
    assert_eq!(client.protocol(), Some(protocol));
    discreet(&server);
    // Staged, under way, and unread.
    block_on(server.send(SECRET.into())).unwrap();
    block_on(server.send(SECRET.into())).unwrap();
    block_on(server.feed(SECRET.into())).unwrap();
    discreet(&server);
    assert!(block_on(client.next()).is_some());
    discreet(&client);
    let (sender, receiver) = server.split();
    discreet(&sender);
    discreet(&receiver);

    let (mut near, far) = testing::duplex();
    block_on(near.write_all(SECRET.as_bytes())).unwrap();
    for end in [near, far] {
        let text = discreet(&end);
        // Bytes would be shown as numbers.
        assert!(!text.contains("115, 51"), "{text}");
    }
}
