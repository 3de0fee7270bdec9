//! `anyws::testing`: what users test their routes with works as it says.

use std::{io::ErrorKind, sync::Arc};

use anyws::{
    CloseCode, ConfigError, Error, HandshakeError, Message, ProtocolError, TransportConfig,
    WebSocket, WebSocketConfig,
    testing::{self, OpenError},
};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, executor::block_on, future::join};
use http::{Method, Response, StatusCode, Version};
use support::{
    config, runtimes,
    upgrades::{Upgrade, close_code, extract, next},
};

async fn assert_connected(from: &mut WebSocket, to: &mut WebSocket) {
    for message in [
        Message::text("hello"),
        Message::binary(vec![0; 100_000]),
        Message::Ping("hello".into()),
    ] {
        let (sent, received) = join(from.send(message.clone()), next(to)).await;
        sent.unwrap();
        assert_eq!(received, message);
    }
    // The ping is answered as the other end reads on.
    assert!(to.next().now_or_never().is_none());
    assert_eq!(next(from).await, Message::Pong("hello".into()));
}

runtimes! {
    async fn a_pair_talks_both_ways_and_closes(rt) {
        let (mut client, mut server) = testing::pair_with(&config(&rt)).unwrap();
        assert_connected(&mut client, &mut server).await;
        assert_connected(&mut server, &mut client).await;
        let (closed, close) = join(client.close(None), async {
            let close = next(&mut server).await;
            server.close(None).await.unwrap();
            close
        })
        .await;
        closed.unwrap();
        assert_eq!(close, Message::Close(None));
        assert!(server.next().await.is_none());
    }

    async fn the_settings_of_a_pair_hold_at_both_ends(rt) {
        let transport = TransportConfig::default().max_message_size(200);
        let config = config(&rt).set_transport(transport);
        for client_sends in [true, false] {
            let (client, server) = testing::pair_with(&config).unwrap();
            let (mut from, mut to) = if client_sends {
                (client, server)
            } else {
                (server, client)
            };
            from.send("x".repeat(201).into()).await.unwrap();
            let error = to.next().await.unwrap().unwrap_err();
            let too_large = matches!(error, Error::Protocol(ProtocolError::TooLarge { .. }));
            assert!(too_large, "{error:?}");
            assert_eq!(close_code(&mut from).await, CloseCode::Size);
        }
    }

    async fn an_end_of_a_pair_that_is_dropped_closes(rt) {
        let (mut client, server) = testing::pair_with(&config(&rt)).unwrap();
        drop(server);
        assert_eq!(close_code(&mut client).await, CloseCode::Normal);
        assert!(client.next().await.is_none());
    }

    async fn bytes_go_both_ways_through_a_duplex_and_in_order(_rt) {
        let (mut near, mut far) = testing::duplex();
        let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        for _ in 0..2 {
            let mut read = vec![0; bytes.len()];
            let (written, filled) = join(near.write_all(&bytes), far.read_exact(&mut read)).await;
            written.unwrap();
            filled.unwrap();
            assert_eq!(read, bytes);
            std::mem::swap(&mut near, &mut far);
        }
    }

    async fn a_writer_waits_while_a_duplex_is_full(_rt) {
        let (mut near, mut far) = testing::duplex_with_capacity(4);
        near.write_all(b"full").await.unwrap();
        assert!(near.write(b"!").now_or_never().is_none());
        let mut buffer = [0; 8];
        // A writer that waits is woken by the reader.
        let (written, read) = join(near.write(b"!"), far.read(&mut buffer)).await;
        assert_eq!(written.unwrap(), 1);
        assert_eq!(&buffer[..read.unwrap()], b"full");
        assert_eq!(far.read(&mut buffer).await.unwrap(), 1);
    }

    async fn a_duplex_holds_at_least_one_byte(_rt) {
        let (mut near, mut far) = testing::duplex_with_capacity(0);
        let mut read = [0; 5];
        let (written, filled) = join(near.write_all(b"hello"), far.read_exact(&mut read)).await;
        written.unwrap();
        filled.unwrap();
        assert_eq!(&read, b"hello");
    }

    async fn a_duplex_that_is_closed_ends_one_direction(_rt) {
        let (mut near, mut far) = testing::duplex();
        near.write_all(b"hello").await.unwrap();
        near.close().await.unwrap();
        assert_eq!(
            near.write(b"!").await.unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"hello");
        far.write_all(b"hello").await.unwrap();
        let mut read = [0; 5];
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"hello");
    }

    async fn a_duplex_that_is_dropped_ends_both_directions(_rt) {
        let (mut near, far) = testing::duplex();
        let mut buffer = [0; 1];
        // Who waits is told.
        let (read, ()) = join(near.read(&mut buffer), async { drop(far) }).await;
        assert_eq!(read.unwrap(), 0);
        assert_eq!(
            near.write(b"!").await.unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );

        let (mut near, far) = testing::duplex_with_capacity(1);
        near.write_all(b"!").await.unwrap();
        let (written, ()) = join(near.write(b"!"), async { drop(far) }).await;
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    async fn the_settings_of_a_client_hold_for_its_socket(rt) {
        let (ws, client) = extract(&rt);
        let (response, upgrading) = ws.accept();
        let transport = TransportConfig::default().max_message_size(200);
        let client = client.set_config(config(&rt).set_transport(transport));
        let mut client = client.open(&response).unwrap();
        let mut server = upgrading.await.unwrap();
        server.send("x".repeat(201).into()).await.unwrap();
        let error = client.next().await.unwrap().unwrap_err();
        let too_large = matches!(error, Error::Protocol(ProtocolError::TooLarge { .. }));
        assert!(too_large, "{error:?}");
        assert_eq!(close_code(&mut server).await, CloseCode::Size);
    }

    async fn a_client_that_is_dropped_ends_its_connection(rt) {
        let (ws, client) = extract(&rt);
        drop(client);
        let mut server = ws.accept().1.await.unwrap();
        let end = server.next().await.unwrap();
        assert!(matches!(end, Err(Error::ClosedWithoutHandshake)), "{end:?}");
    }
}

#[test]
fn a_pair_needs_no_settings() {
    block_on(async {
        let (mut client, mut server) = testing::pair();
        assert_connected(&mut client, &mut server).await;
        assert_eq!((client.protocol(), server.protocol()), (None, None));
    });
}

#[test]
fn a_pair_of_impossible_settings_is_an_error() {
    let config = WebSocketConfig::new().set_protocols(["no token"]);
    let pair = testing::pair_with(&config);
    let Err(Error::Config(ConfigError::Protocol(name))) = pair else {
        panic!("not an error of the settings: {pair:?}");
    };
    assert_eq!(name, "no token");
}

#[test]
fn a_request_is_valid_for_any_server() {
    let (request, _client) = testing::upgrade("/chat?room=1");
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.version(), Version::HTTP_11);
    assert_eq!(request.uri(), "/chat?room=1");
    for name in [
        "host",
        "upgrade",
        "connection",
        "sec-websocket-version",
        "sec-websocket-key",
    ] {
        assert_eq!(request.headers().get_all(name).iter().count(), 1, "{name}");
    }
    assert!(Upgrade::from_request(&mut request.map(|()| "any body")).is_ok());
}

#[test]
#[should_panic(expected = "URI")]
fn a_request_for_what_is_no_uri_panics() {
    let _ = testing::upgrade("no URI");
}

/// The error that a header of this name causes.
fn fault(name: &str) -> OpenError {
    OpenError::Handshake(match name {
        "Upgrade" => HandshakeError::Upgrade,
        "Connection" => HandshakeError::Connection,
        "Sec-WebSocket-Accept" => HandshakeError::Accept,
        "Sec-WebSocket-Extensions" => HandshakeError::Extensions,
        _ => HandshakeError::Protocol,
    })
}

/// The answer to a request in memory, as `change` leaves it; and what its client makes of it.
fn opened(change: impl FnOnce(&mut Response<String>)) -> Result<WebSocket, OpenError> {
    let (mut request, client) = testing::upgrade("/");
    let (mut response, _upgrading) = Upgrade::from_request(&mut request).unwrap().accept();
    change(&mut response);
    client.open(&response)
}

#[test]
fn an_answer_of_101_opens_a_socket_whatever_its_body() {
    assert!(opened(|_| ()).is_ok());
    let (mut request, client) = testing::upgrade("/");
    let (response, _upgrading) = Upgrade::from_request(&mut request).unwrap().accept();
    let response = response.map(|_| Arc::new(()));
    assert!(client.open(&response).is_ok());
}

#[test]
fn a_list_of_tokens_in_any_case_opens_a_socket() {
    let opened = opened(|response| {
        let headers = response.headers_mut();
        headers.insert("connection", "keep-alive, UPGRADE".parse().unwrap());
        headers.insert("upgrade", "WebSocket".parse().unwrap());
    });
    assert!(opened.is_ok());
}

#[test]
fn an_answer_of_another_status_opens_none() {
    for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::FORBIDDEN] {
        let error = opened(|response| *response.status_mut() = status).unwrap_err();
        assert_eq!(error, OpenError::Status(status));
        assert!(error.to_string().contains(status.as_str()));
    }
}

#[test]
fn an_answer_whose_header_is_missing_or_wrong_opens_none() {
    for (name, wrong) in [
        ("Upgrade", "h2c"),
        ("Upgrade", "websocket2"),
        ("Connection", "close"),
        ("Connection", "notupgrade"),
        ("Sec-WebSocket-Accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ] {
        let missing = opened(|response| drop(response.headers_mut().remove(name))).unwrap_err();
        assert_eq!(missing, fault(name));
        let value = wrong.parse().unwrap();
        let replaced = opened(|response| drop(response.headers_mut().insert(name, value)));
        let replaced = replaced.unwrap_err();
        assert_eq!(replaced, fault(name));
        assert!(replaced.to_string().contains(name));
    }
}

/// Nothing is validated here: what is above the watermark is written, whatever the write buffer.
#[test]
fn settings_that_contradict_each_other_do_not_make_a_client_hang() {
    let transport = TransportConfig::default()
        .write_buffer_size(1000)
        .max_write_buffer_size(10)
        .fragment_size(0);
    let config = WebSocketConfig::new().set_transport(transport);
    assert!(config.validate().is_err());
    let (mut request, client) = testing::upgrade("/");
    let ws = Upgrade::from_request(&mut request).unwrap();
    let (response, upgrading) = ws.accept();
    let mut server = block_on(upgrading).unwrap();
    let mut client = client.set_config(config).open(&response).unwrap();
    for number in 0..10 {
        let text = format!("more than ten bytes: {number}");
        client
            .feed(Message::text(&text))
            .now_or_never()
            .unwrap()
            .unwrap();
        client.flush().now_or_never().unwrap().unwrap();
        assert_eq!(
            block_on(server.next()).unwrap().unwrap(),
            Message::text(text)
        );
    }
}

#[test]
fn an_answer_that_a_client_must_fail_opens_none() {
    let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    for (name, value) in [
        // None was offered.
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        // These are sent once.
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Accept", accept),
    ] {
        let value = value.parse().unwrap();
        let error = opened(|response| {
            response.headers_mut().append(name, value);
        });
        assert_eq!(error.unwrap_err(), fault(name));
    }
    for (name, value) in [("Content-Length", "5"), ("Transfer-Encoding", "chunked")] {
        let value = value.parse().unwrap();
        let error = opened(|response| drop(response.headers_mut().insert(name, value)));
        assert_eq!(
            error.unwrap_err(),
            OpenError::Handshake(HandshakeError::Body)
        );
    }
    let upgrade = "h2c, websocket".parse().unwrap();
    let error = opened(|response| drop(response.headers_mut().insert("upgrade", upgrade)));
    assert_eq!(error.unwrap_err(), fault("Upgrade"));
    let error = opened(|response| *response.version_mut() = Version::HTTP_10);
    assert_eq!(
        error.unwrap_err(),
        OpenError::Handshake(HandshakeError::Version(Version::HTTP_10))
    );
}

#[test]
fn an_answer_with_another_subprotocol_than_one_token_opens_none() {
    let name = "Sec-WebSocket-Protocol";
    for values in [&["a", "a"][..], &["a, b"], &[""], &["a b"], &["a(\""]] {
        let error = opened(|response| {
            for value in values {
                response.headers_mut().append(name, value.parse().unwrap());
            }
        });
        assert_eq!(error.unwrap_err(), fault(name), "{values:?}");
    }
}

#[test]
fn each_client_has_a_key_of_its_own_which_the_answer_has_to_fit() {
    let (one, client) = testing::upgrade("/");
    let (mut other, _) = testing::upgrade("/");
    let key = "sec-websocket-key";
    assert_ne!(one.headers()[key], other.headers()[key]);
    let (response, _upgrading) = Upgrade::from_request(&mut other).unwrap().accept();
    let error = client.open(&response).unwrap_err();
    assert_eq!(error, fault("Sec-WebSocket-Accept"));
}

#[test]
fn a_client_opens_its_socket_on_a_stream_of_the_test() {
    let (mut request, client) = testing::upgrade("/");
    let (response, _upgrading) = Upgrade::from_request(&mut request).unwrap().accept();
    let (near, far) = testing::duplex();
    let mut socket = client.open_on(near, &response).unwrap();
    let mut server = testing::server(far, &WebSocketConfig::new()).unwrap();
    block_on(assert_connected(&mut socket, &mut server));
}

#[test]
fn an_answer_whose_subprotocol_is_no_text_opens_none() {
    let value = http::HeaderValue::from_bytes(b"\xff").unwrap();
    let opened = opened(|response| {
        response
            .headers_mut()
            .insert("sec-websocket-protocol", value);
    });
    assert_eq!(opened.unwrap_err(), fault("Sec-WebSocket-Protocol"));
}
