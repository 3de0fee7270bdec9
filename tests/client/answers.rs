//! What a client makes of each answer (RFC 6455, section 4.1).

use std::{future, pin::pin, sync::Arc, time::Duration};

use anyws::{
    ClientBuilder, Error, HandshakeError, HeadError, Message, Runtime, TimeoutPhase,
    WebSocketConfig, testing,
};
use futures::{AsyncReadExt, AsyncWriteExt, join, poll};
use http::Version;
use support::{
    config,
    frames::{Frame, Role},
    runtimes,
    time::Paused,
};

use crate::server::{Answer, Server, accepted, error, opened};

fn builder(rt: &Arc<dyn Runtime>) -> ClientBuilder {
    ClientBuilder::new("ws://a.example/").config(config(rt))
}

/// Returns why the answer of a server that changes it like this is wrong.
async fn fault(client: ClientBuilder, change: impl FnOnce(Answer) -> Answer) -> HandshakeError {
    match error(client, change).await {
        Error::Handshake(fault) => fault,
        other => panic!("{other:?}"),
    }
}

runtimes! {
    async fn rule_23_another_answer_than_101_is_given_to_the_caller(rt) {
        for status in [
            "200 OK",
            "301 Moved",
            "302 Found",
            "401 Unauthorized",
            "426 Upgrade Required",
            "503 Busy",
        ] {
            let (opened, mut server) = opened(builder(&rt), async |server| {
                let answer = server.answer().line(&format!("HTTP/1.1 {status}"));
                let answer = answer.with("Location", &["ws://elsewhere.example/"]);
                server
                    .send(
                        &answer
                            .with("Content-Length", &["5"])
                            .then(b"sorry, and more"),
                    )
                    .await;
            })
            .await;
            let Err(Error::UnexpectedResponse(response)) = opened else {
                panic!("{status}: {opened:?}");
            };
            assert!(status.starts_with(response.status().as_str()));
            assert_eq!(response.headers()["location"], "ws://elsewhere.example/");
            assert_eq!(&response.body()[..], b"sorry");
            // Nothing is followed, and the connection is closed.
            assert_eq!(server.io.read(&mut [0]).await.unwrap(), 0);
        }
    }

    async fn rule_23_of_a_body_16_kib_are_kept(rt) {
        for framing in [&[][..], &["100000"]] {
            let (opened, _server) = opened(builder(&rt), async |server| {
                let answer = server
                    .answer()
                    .line("HTTP/1.1 500 Oops")
                    .with("Content-Length", framing);
                server
                    .send(&answer.then(&"a".repeat(40_000).into_bytes()))
                    .await;
            })
            .await;
            let Err(Error::UnexpectedResponse(response)) = opened else {
                panic!("{opened:?}")
            };
            assert_eq!(response.body(), &vec![b'a'; 16 * 1024]);
        }
    }

    async fn rule_23_a_body_in_chunks_is_decoded(rt) {
        let (opened, _server) = opened(builder(&rt), async |server| {
            let answer = server.answer().line("HTTP/1.1 404 Not Found");
            let answer = answer.with("Transfer-Encoding", &["chunked"]);
            server
                .send(&answer.then(b"3\r\nno \r\n4;x=y\r\nroom\r\n0\r\n\r\n"))
                .await;
        })
        .await;
        let Err(Error::UnexpectedResponse(response)) = opened else {
            panic!("{opened:?}")
        };
        assert_eq!(&response.body()[..], b"no room");
    }

    async fn rule_23_a_body_that_stops_is_given_as_far_as_it_came(rt) {
        let paused = Paused::new(&rt);
        let client = ClientBuilder::new("ws://a").config(paused.config());
        let (near, far) = testing::duplex();
        let connecting = paused.run(client.connect_over(near));
        let mut server = Server::read(far).await;
        let answer = server
            .answer()
            .line("HTTP/1.1 500 Oops")
            .with("Content-Length", &["9"]);
        server.send(&answer.then(b"half")).await;
        paused.advance(Duration::from_secs(10)).await;
        let opened = connecting.await.unwrap();
        let Err(Error::UnexpectedResponse(response)) = opened else {
            panic!("{opened:?}")
        };
        assert_eq!(&response.body()[..], b"half");
        assert_eq!(paused.timers(), 0);
    }

    async fn rule_24_upgrade_is_websocket_once(rt) {
        accepted(builder(&rt), |answer| {
            answer.with("Upgrade", &["WebSocket"])
        })
        .await;
        for values in [
            &[][..],
            &["h2c"],
            &["websocket2"],
            &["websocket, h2c"],
            &["websocket", "websocket"],
        ] {
            let fault = fault(builder(&rt), |answer| answer.with("Upgrade", values)).await;
            assert_eq!(fault, HandshakeError::Upgrade, "{values:?}");
        }
    }

    async fn rule_25_connection_is_a_list_with_upgrade(rt) {
        for values in [
            &["upgrade"][..],
            &["keep-alive, UPGRADE"],
            &["keep-alive", "Upgrade"],
            &[",,Upgrade,"],
        ] {
            accepted(builder(&rt), |answer| answer.with("Connection", values)).await;
        }
        for values in [
            &[][..],
            &["close"],
            &["notupgrade"],
            &["\"a, upgrade, b\""],
            &["keep-alive upgrade"],
        ] {
            let fault = fault(builder(&rt), |answer| answer.with("Connection", values)).await;
            assert_eq!(fault, HandshakeError::Connection, "{values:?}");
        }
    }

    async fn rule_26_accept_is_there_once_and_right(rt) {
        let name = "Sec-WebSocket-Accept";
        for values in [&[][..], &["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="], &["x"], &[""]] {
            let fault = fault(builder(&rt), |answer| answer.with(name, values)).await;
            assert_eq!(fault, HandshakeError::Accept, "{values:?}");
        }
        let (opened, _server) = opened(builder(&rt), async |server| {
            let accept = server.answer().to_string();
            let accept = accept
                .lines()
                .find_map(|line| line.strip_prefix("Sec-WebSocket-Accept: "));
            let twice = server
                .answer()
                .with(name, &[accept.unwrap(), accept.unwrap()]);
            server.send(&twice).await;
        })
        .await;
        assert!(
            matches!(opened, Err(Error::Handshake(HandshakeError::Accept))),
            "{opened:?}"
        );
    }

    async fn rule_27_only_extensions_that_were_offered_are_accepted(rt) {
        let name = "Sec-WebSocket-Extensions";
        for value in [
            "permessage-deflate",
            "x",
            "",
            "permessage-deflate; server_max_window_bits=10",
        ] {
            let fault = fault(builder(&rt), |answer| answer.with(name, &[value])).await;
            assert_eq!(fault, HandshakeError::Extensions, "{value:?}");
        }
    }

    async fn rule_28_a_subprotocol_is_one_that_was_offered(rt) {
        let name = "Sec-WebSocket-Protocol";
        let client = || builder(&rt).protocols(["chat.v2", "chat.v1"]);
        let (socket, _server) = accepted(client(), |answer| answer.with(name, &["chat.v1"])).await;
        assert_eq!(socket.protocol(), Some("chat.v1"));
        let (socket, _server) = accepted(client(), |answer| answer).await;
        assert_eq!(socket.protocol(), None);
        for values in [
            &["chat.v3"][..],
            &["Chat.v1"],
            &["chat.v1, chat.v2"],
            &["chat.v1", "chat.v1"],
            &[""],
            &["a b"],
        ] {
            let fault = fault(client(), |answer| answer.with(name, values)).await;
            assert_eq!(fault, HandshakeError::Protocol, "{values:?}");
        }
        let unasked = fault(builder(&rt), |answer| answer.with(name, &["chat.v1"])).await;
        assert_eq!(unasked, HandshakeError::Protocol);
        let none = fault(client().require_protocol(true), |answer| answer).await;
        assert_eq!(none, HandshakeError::NoProtocol);
    }

    async fn rule_29_bytes_behind_the_answer_are_frames(rt) {
        let frames = [
            Frame::text("at once").bytes(Role::Server),
            Frame::close(1012, "").bytes(Role::Server),
        ]
        .concat();
        for split in [false, true] {
            let (mut socket, _server) = accepted(builder(&rt), |answer| answer.then(&frames)).await;
            let (first, second) = if split {
                let (_sender, mut receiver) = socket.split();
                (receiver.next().await, receiver.next().await)
            } else {
                (socket.next().await, socket.next().await)
            };
            assert_eq!(first.unwrap().unwrap(), Message::text("at once"));
            let Message::Close(Some(frame)) = second.unwrap().unwrap() else {
                panic!("no Close")
            };
            assert_eq!(u16::from(frame.code), 1012);
        }
    }

    async fn an_answer_may_come_byte_by_byte(rt) {
        let (opened, _server) = opened(builder(&rt), async |server| {
            let bytes = server
                .answer()
                .then(&Frame::text("hello").bytes(Role::Server))
                .bytes();
            for byte in bytes {
                server.io.write_all(&[byte]).await.unwrap();
                support::tasks::yield_to_tasks(&rt).await;
            }
        })
        .await;
        let (mut socket, _) = opened.unwrap();
        assert_eq!(
            socket.next().await.unwrap().unwrap(),
            Message::text("hello")
        );
    }

    async fn an_answer_is_http_1_1_without_a_body(rt) {
        let version = fault(builder(&rt), |answer| {
            answer.line("HTTP/1.0 101 Switching Protocols")
        })
        .await;
        assert_eq!(version, HandshakeError::Version(Version::HTTP_10));
        for (name, value) in [("Content-Length", "1"), ("Transfer-Encoding", "chunked")] {
            let body = fault(builder(&rt), |answer| answer.with(name, &[value])).await;
            assert_eq!(body, HandshakeError::Body);
        }
        accepted(builder(&rt), |answer| answer.with("Content-Length", &["0"])).await;
    }

    async fn what_is_no_http_is_refused_at_its_first_byte(rt) {
        let many = "x: y\r\n".repeat(129);
        let large = format!("x: {}\r\n", "y".repeat(64 * 1024));
        for (bytes, error) in [
            ("SSH-2.0-OpenSSH_9.2p1", HeadError::Malformed),
            ("\x15\x03\x01", HeadError::Malformed),
            ("\r\n", HeadError::Malformed),
            ("HTTP/2", HeadError::Version),
            ("HTTP/1.2", HeadError::Malformed),
            ("HTTP/1.1 1x", HeadError::Malformed),
            ("HTTP/1.1 099", HeadError::Malformed),
            ("HTTP/1.1 1010", HeadError::Malformed),
            ("HTTP/1.1 101 a\0", HeadError::Malformed),
            ("HTTP/1.1 101\r\na b", HeadError::Malformed),
            ("HTTP/1.1 101\r\n b", HeadError::Malformed),
            ("HTTP/1.1 101\r\na: \x01", HeadError::Malformed),
            (
                &format!("HTTP/1.1 101\r\n{many}"),
                HeadError::TooManyHeaders,
            ),
            (&format!("HTTP/1.1 101\r\n{large}"), HeadError::TooLarge),
        ] {
            // The server neither ends nor says more.
            let (opened, _server) = opened(builder(&rt), async |server| {
                let _ = server.io.write_all(bytes.as_bytes()).await;
            })
            .await;
            let Err(Error::Handshake(HandshakeError::Head(fault))) = opened else {
                panic!("{bytes:.20?}: {opened:?}");
            };
            assert_eq!(fault, error, "{bytes:.20?}");
        }
    }

    async fn an_answer_without_a_reason_is_one(rt) {
        accepted(builder(&rt), |answer| answer.line("HTTP/1.1 101 ")).await;
        accepted(builder(&rt), |answer| answer.line("HTTP/1.1 101")).await;
    }

    async fn up_to_8_interim_responses_are_skipped(rt) {
        let hint = "HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n";
        let (opened_after_8, _server) = opened(builder(&rt), async |server| {
            let hints = hint.repeat(7) + "HTTP/1.1 100\r\n\r\n";
            server.io.write_all(hints.as_bytes()).await.unwrap();
            let answer = server.answer();
            server.send(&answer).await;
        })
        .await;
        assert!(opened_after_8.is_ok(), "{opened_after_8:?}");
        let (opened_after_9, _server) = opened(builder(&rt), async |server| {
            server
                .io
                .write_all(hint.repeat(9).as_bytes())
                .await
                .unwrap();
        })
        .await;
        let Err(Error::Handshake(fault)) = opened_after_9 else {
            panic!("{opened_after_9:?}")
        };
        assert_eq!(fault, HandshakeError::TooManyInterim);
    }

    async fn a_server_that_hangs_up_is_told(rt) {
        for bytes in ["", "H", "HTTP/1.1 101\r\n", "HTTP/1.1 103\r\n\r\n"] {
            let (opened, _) = opened(builder(&rt), async |server| {
                server.io.write_all(bytes.as_bytes()).await.unwrap();
                server.io.close().await.unwrap();
            })
            .await;
            assert!(
                matches!(opened, Err(Error::Handshake(HandshakeError::Ended))),
                "{opened:?}"
            );
        }
    }

    async fn an_answer_has_to_come_in_time(rt) {
        for (timeout, seconds) in [(None, 10), (Some(Duration::from_secs(3)), 3)] {
            let paused = Paused::new(&rt);
            let mut client = ClientBuilder::new("ws://a").config(paused.config());
            if let Some(timeout) = timeout {
                client = client.handshake_timeout(timeout);
            }
            let (near, far) = testing::duplex();
            let mut connecting = paused.run(client.connect_over(near));
            let mut server = Server::read(far).await;
            server.io.write_all(b"HTTP/1.1 101\r\n").await.unwrap();
            paused
                .advance(Duration::from_millis(seconds * 1000 - 1))
                .await;
            assert!(poll!(&mut connecting).is_pending());
            paused.advance(Duration::from_millis(1)).await;
            let opened = connecting.await.unwrap();
            assert!(
                matches!(opened, Err(Error::Timeout(TimeoutPhase::Handshake))),
                "{opened:?}"
            );
            assert_eq!(
                server.io.read(&mut [0]).await.unwrap(),
                0,
                "the connection is closed"
            );
        }
    }

    async fn a_server_that_reads_nothing_is_given_up(rt) {
        let paused = Paused::new(&rt);
        let client = ClientBuilder::new("ws://a").config(paused.config());
        let (near, _far) = testing::duplex_with_capacity(10);
        let connecting = paused.run(client.connect_over(near));
        paused.advance(Duration::from_secs(10)).await;
        let opened = connecting.await.unwrap();
        assert!(
            matches!(opened, Err(Error::Timeout(TimeoutPhase::Handshake))),
            "{opened:?}"
        );
    }

    async fn a_future_that_is_dropped_leaves_nothing(rt) {
        let paused = Paused::new(&rt);
        let client = ClientBuilder::new("ws://a").config(paused.config());
        // The server's end takes and gives a byte at a time, so the client waits at each of them.
        let mut polls = 0;
        loop {
            let (near, far) = testing::duplex_with_capacity(1);
            let mut connecting = pin!(client.clone().connect_over(near));
            let serving = async {
                let mut server = Server::read(far).await;
                let answer = server.answer();
                server.send(&answer).await;
                future::pending::<()>().await;
            };
            let mut serving = Box::pin(serving);
            let mut is_open = false;
            for _ in 0..polls {
                is_open = poll!(&mut connecting).is_ready();
                let _ = poll!(&mut serving);
                if is_open {
                    break;
                }
            }
            if is_open {
                break;
            }
            connecting.set(client.clone().connect_over(testing::duplex().0));
            assert_eq!(
                (paused.timers(), paused.spawned()),
                (0, 0),
                "after {polls} polls"
            );
            polls += 1;
        }
        assert!(polls > 100, "{polls} polls");
    }
}

#[test]
fn without_a_runtime_a_client_works_on_a_stream_of_the_users() {
    support::bounded(|| {
        futures::executor::block_on(async {
            let (near, far) = testing::duplex();
            let client = ClientBuilder::new("ws://a").connect_over(near);
            let (client, server) = join!(client, anyws::accept(far, WebSocketConfig::new()));
            let ((mut client, _), mut server) = (client.unwrap(), server.unwrap());
            client.send("hello".into()).await.unwrap();
            assert_eq!(
                server.next().await.unwrap().unwrap(),
                Message::text("hello")
            );
        });
    });
}
