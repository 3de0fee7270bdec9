//! Messages of an open socket: what arrives, what leaves, and what is refused.

use std::{fmt::Debug, io::ErrorKind, sync::Arc};

use anyws::{
    Bytes, CloseCode, CloseFrame, Error, InvalidMessage, Message, Result, Runtime, TransportConfig,
    WebSocket, WebSocketConfig, WebSocketUpgrade, accept,
    testing::{self, duplex},
};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt, future::join};
use support::{
    config,
    frames::{BINARY, CONTINUATION, Frame, PING, PONG, Peer, TEXT, server, with_peer},
    runtimes,
    scripted::Scripted,
};

/// The bounds of the three ways to write a length, and one that needs several reads and writes.
const LENGTHS: [usize; 7] = [0, 1, 125, 126, 127, 65535, 65536];

fn with_limits(
    runtime: &Arc<dyn Runtime>,
    set: impl FnOnce(TransportConfig) -> TransportConfig,
) -> WebSocketConfig {
    config(runtime).set_transport(set(TransportConfig::default()))
}

fn pair(runtime: &Arc<dyn Runtime>) -> (WebSocket, WebSocket) {
    testing::pair_with(&config(runtime)).unwrap()
}

/// A message of text and one of bytes for each length, with contents that tell places apart.
fn messages() -> Vec<Message> {
    let both = LENGTHS.into_iter().flat_map(|length| {
        let text: String = ('a'..='z').cycle().take(length).collect();
        let data: Vec<u8> = (0..=250).cycle().take(length).collect();
        [Message::text(text), Message::binary(data)]
    });
    both.collect()
}

fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame {
        code: CloseCode::from(code),
        reason: reason.into(),
    }))
}

async fn received(socket: &mut WebSocket) -> Message {
    socket.next().await.expect("no end yet").expect("no error")
}

/// Sends `sent` on one socket and receives it, in order, on the other.
async fn carry(from: &mut WebSocket, to: &mut WebSocket, sent: &[Message]) {
    let sending = async {
        for message in sent {
            from.send(message.clone()).await.unwrap();
        }
    };
    let receiving = async {
        for message in sent {
            // Not `assert_eq`: nobody wants to read 65,536 bytes.
            assert!(received(to).await == *message, "{}", message.len());
        }
    };
    join(sending, receiving).await;
}

fn assert_invalid<T: Debug>(result: &Result<T>, expected: &InvalidMessage) {
    assert!(
        matches!(result, Err(Error::InvalidMessage(why)) if why == expected),
        "{result:?} is not {expected:?}"
    );
}

/// What may never be sent, and why.
fn invalid_messages() -> Vec<(Message, InvalidMessage)> {
    use anyws::InvalidMessage::{CloseCode, CloseReasonTooLong, ControlTooLong, RawFrame};
    let codes = [
        0,
        999,
        1004,
        1005,
        1006,
        1015,
        1016,
        2000,
        2999,
        5000,
        u16::MAX,
    ];
    let codes = codes.map(|code| (close(code, ""), CloseCode(code)));
    let mut invalid = Vec::from(codes);
    invalid.extend([
        (close(1000, &"x".repeat(124)), CloseReasonTooLong(124)),
        // Characters do not count, bytes do.
        (close(1000, &"é".repeat(62)), CloseReasonTooLong(124)),
        (Message::Ping(vec![0; 126].into()), ControlTooLong(126)),
        (Message::Pong(vec![0; 126].into()), ControlTooLong(126)),
        (raw_frame(), RawFrame),
    ]);
    invalid
}

fn raw_frame() -> Message {
    use async_tungstenite::tungstenite::protocol::frame::Frame;
    Message::Frame(Frame::ping(Bytes::new()))
}

runtimes! {
    async fn messages_of_every_length_arrive_both_ways(rt) {
        let (mut client, mut server) = pair(&rt);
        carry(&mut client, &mut server, &messages()).await;
        carry(&mut server, &mut client, &messages()).await;
    }

    async fn a_message_is_one_frame_with_the_shortest_length(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        let send = async {
            for message in messages() {
                socket.send(message).await.unwrap();
            }
        };
        let read = async {
            for message in messages() {
                let opcode = if message.is_text() { TEXT } else { BINARY };
                let frame = Frame::new(opcode, message.into_data());
                assert!(peer.frame().await == Some(frame));
            }
        };
        join(send, read).await;
    }

    async fn send_writes_before_it_returns(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        socket.send("now".into()).await.unwrap();
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::text("now"))));
    }

    async fn feed_writes_nothing_by_itself(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        socket.feed("later".into()).await.unwrap();
        assert_eq!(peer.frame().now_or_never(), None);
        socket.flush().await.unwrap();
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::text("later"))));
    }

    async fn ten_feeds_leave_in_one_write(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let (mut socket, mut peer) = (server(far, &config(&rt)).await, Peer::new(near));
        for number in 0..10 {
            socket.feed(Message::text(number.to_string())).await.unwrap();
        }
        assert_eq!(script.writes().len(), 0);
        socket.flush().await.unwrap();
        assert_eq!(script.writes().len(), 1);
        for number in 0..10 {
            assert_eq!(peer.frame().await, Some(Frame::text(&number.to_string())));
        }
    }

    async fn feed_writes_once_enough_is_buffered(rt) {
        let config = with_limits(&rt, |limits| limits.write_buffer_size(100));
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let mut socket = server(far, &config).await;
        // With its header of 2 bytes it leaves no room for another one.
        socket.feed(Message::text("x".repeat(90))).await.unwrap();
        assert_eq!(script.writes().len(), 0);
        socket.feed(Message::text("y".repeat(90))).await.unwrap();
        assert_ne!(script.writes().len(), 0);
        drop(near);
    }

    async fn feed_writes_each_message_at_once_if_the_settings_say_so(rt) {
        let config = with_limits(&rt, |limits| limits.write_buffer_size(0));
        let (mut socket, mut peer) = with_peer(&config).await;
        socket.feed("now".into()).await.unwrap();
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::text("now"))));
    }

    async fn next_writes_what_feed_buffered_before_it_waits(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        for text in ["one", "two"] {
            socket.feed(text.into()).await.unwrap();
        }
        assert!(socket.next().now_or_never().is_none());
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::text("one"))));
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::text("two"))));
    }

    async fn next_takes_what_has_arrived_before_it_writes(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let (mut socket, mut peer) = (server(far, &config(&rt)).await, Peer::new(near));
        let burst = ["one", "two", "three"].map(|text| Frame::text(text).masked());
        peer.send_bytes(&burst.concat()).await;
        for _ in 0..3 {
            let message = received(&mut socket).await;
            socket.feed(message).await.unwrap();
        }
        assert_eq!(script.writes().len(), 0);
        assert!(socket.next().now_or_never().is_none());
        assert_eq!(script.writes().len(), 1);
    }

    async fn a_ping_is_answered_though_the_user_only_reads(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        for payload in [vec![], b"are you there?".to_vec(), vec![0xff; 125]] {
            peer.send(Frame::new(PING, payload.clone())).await;
            assert_eq!(received(&mut socket).await, Message::Ping(payload.clone().into()));
            assert!(socket.next().now_or_never().is_none());
            assert_eq!(peer.frame().await, Some(Frame::new(PONG, payload)));
        }
    }

    async fn a_ping_is_answered_in_both_roles(rt) {
        let (mut one, mut other) = pair(&rt);
        for _ in 0..2 {
            one.send(Message::Ping("hey".into())).await.unwrap();
            assert_eq!(received(&mut other).await, Message::Ping("hey".into()));
            assert!(other.next().now_or_never().is_none());
            assert_eq!(received(&mut one).await, Message::Pong("hey".into()));
            (one, other) = (other, one);
        }
    }

    async fn of_several_pings_the_latest_is_answered_in_any_case(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        let pings: Vec<_> = (0..10).map(|number| Frame::new(PING, [number]).masked()).collect();
        peer.send_bytes(&pings.concat()).await;
        for number in 0..10 {
            assert_eq!(received(&mut socket).await, Message::Ping(vec![number].into()));
        }
        assert!(socket.next().now_or_never().is_none());
        let mut answered = None;
        while answered != Some(9) {
            let pong = peer.frame().await.expect("no end yet");
            assert_eq!(pong, Frame::new(PONG, [pong.payload[0]]));
            assert!(answered < Some(pong.payload[0]), "they keep the order of the pings");
            answered = Some(pong.payload[0]);
        }
    }

    async fn a_pong_of_the_user_does_not_replace_the_automatic_one(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        peer.send(Frame::new(PING, "automatic")).await;
        received(&mut socket).await;
        socket.send(Message::Pong("own".into())).await.unwrap();
        assert!(socket.next().now_or_never().is_none());
        let pongs = [peer.frame().await.unwrap(), peer.frame().await.unwrap()];
        assert!(pongs.contains(&Frame::new(PONG, "automatic")), "{pongs:?}");
        assert!(pongs.contains(&Frame::new(PONG, "own")), "{pongs:?}");
    }

    async fn a_pong_nobody_asked_for_is_harmless(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        peer.send(Frame::new(PONG, "here I am")).await;
        assert_eq!(received(&mut socket).await, Message::Pong("here I am".into()));
        peer.send(Frame::text("go on")).await;
        assert_eq!(received(&mut socket).await, Message::text("go on"));
    }

    async fn fragments_are_one_message_and_control_frames_between_them_come_first(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        // The second character is cut in two.
        let text = "aé".as_bytes();
        peer.send(Frame::new(TEXT, &text[..2]).unfinished()).await;
        peer.send(Frame::new(PING, "ping")).await;
        peer.send(Frame::new(CONTINUATION, []).unfinished()).await;
        peer.send(Frame::new(PONG, "pong")).await;
        peer.send(Frame::new(CONTINUATION, &text[2..])).await;
        assert_eq!(received(&mut socket).await, Message::Ping("ping".into()));
        assert_eq!(received(&mut socket).await, Message::Pong("pong".into()));
        assert_eq!(received(&mut socket).await, Message::text("aé"));
    }

    async fn frames_are_taken_byte_by_byte(rt) {
        let (near, far) = duplex();
        let mut socket = server(Scripted::slow(far), &config(&rt)).await;
        let mut peer = Peer::new(near);
        for message in messages().into_iter().filter(|message| message.len() < 128) {
            let opcode = if message.is_text() { TEXT } else { BINARY };
            peer.send(Frame::new(opcode, message.clone().into_data())).await;
            assert_eq!(received(&mut socket).await, message);
            socket.send(message.clone()).await.unwrap();
            assert_eq!(peer.frame().await, Some(Frame::new(opcode, message.into_data())));
        }
    }

    async fn a_signal_harms_neither_a_read_nor_a_write(rt) {
        let (near, far) = duplex();
        let mut socket = server(Scripted::interrupted(far), &config(&rt)).await;
        let mut peer = Peer::new(near);
        for message in messages().into_iter().filter(|message| message.len() < 10_000) {
            let opcode = if message.is_text() { TEXT } else { BINARY };
            peer.send(Frame::new(opcode, message.clone().into_data())).await;
            assert_eq!(received(&mut socket).await, message);
            socket.send(message.clone()).await.unwrap();
            assert_eq!(peer.frame().await, Some(Frame::new(opcode, message.into_data())));
        }
        let (closed, _) = join(socket.close(None), peer.see_off()).await;
        closed.unwrap();
    }

    async fn the_stream_is_flushed_after_writes_only(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let (mut socket, mut peer) = (server(far, &config(&rt)).await, Peer::new(near));
        socket.flush().await.unwrap();
        assert!(socket.next().now_or_never().is_none());
        assert_eq!(script.flushes(), 0);
        socket.send("written".into()).await.unwrap();
        assert_eq!(script.flushes(), 1);
        socket.flush().await.unwrap();
        peer.send(Frame::text("read")).await;
        assert_eq!(received(&mut socket).await, Message::text("read"));
        assert!(socket.next().now_or_never().is_none());
        assert_eq!(script.flushes(), 1);
        // A waiting `next` flushes what it has written.
        peer.send(Frame::new(PING, "ping")).await;
        assert!(received(&mut socket).await.is_ping());
        assert!(socket.next().now_or_never().is_none());
        assert!(script.flushes() > 1);
    }

    async fn a_message_above_the_fragment_size_leaves_in_fragments_of_that_size(rt) {
        let config = with_limits(&rt, |limits| limits.fragment_size(1024));
        let (mut socket, mut peer) = with_peer(&config).await;
        let text = |length| "x".repeat(length);
        socket.send(Message::text(text(2560))).await.unwrap();
        socket.send(Message::binary(text(2048))).await.unwrap();
        socket.send(Message::text(text(1024))).await.unwrap();
        for frame in [
            Frame::new(TEXT, text(1024)).unfinished(),
            Frame::new(CONTINUATION, text(1024)).unfinished(),
            Frame::new(CONTINUATION, text(512)),
            Frame::new(BINARY, text(1024)).unfinished(),
            Frame::new(CONTINUATION, text(1024)),
            Frame::new(TEXT, text(1024)),
        ] {
            assert_eq!(peer.frame().await, Some(frame));
        }
    }

    async fn a_peer_with_the_same_limits_takes_the_fragments(rt) {
        // Characters of three bytes are cut at each place.
        for limit in [1024, 1025] {
            let set = |it: TransportConfig| it.max_frame_size(limit).fragment_size(limit);
            let config = with_limits(&rt, set);
            let (mut client, mut server) = testing::pair_with(&config).unwrap();
            let messages = [Message::text("語".repeat(2000)), Message::binary(vec![7; 65536])];
            carry(&mut client, &mut server, &messages).await;
            carry(&mut server, &mut client, &messages).await;
        }
    }

    async fn a_message_of_just_the_limit_is_taken(rt) {
        let config = with_limits(&rt, |limits| limits.max_message_size(1000).max_frame_size(600));
        let (mut socket, mut peer) = with_peer(&config).await;
        peer.send(Frame::new(BINARY, [0; 600]).unfinished()).await;
        peer.send(Frame::new(CONTINUATION, [0; 400])).await;
        assert_eq!(received(&mut socket).await, Message::binary(vec![0; 1000]));
    }

    async fn a_frame_above_the_limit_is_refused_by_its_header(rt) {
        let config = with_limits(&rt, |limits| limits.max_frame_size(600));
        let (mut socket, mut peer) = with_peer(&config).await;
        let frame = Frame::new(BINARY, [0; 601]).masked();
        peer.send_bytes(&frame[..8]).await;
        assert_too_large(&mut socket, &mut peer).await;
    }

    async fn a_message_above_the_limit_is_refused(rt) {
        let config = with_limits(&rt, |limits| limits.max_message_size(1000));
        for first in [Frame::new(TEXT, [b'x'; 1001]), Frame::new(BINARY, [0; 600]).unfinished()] {
            let (mut socket, mut peer) = with_peer(&config).await;
            peer.send(first.clone()).await;
            if first.payload.len() < 1000 {
                peer.send(Frame::new(CONTINUATION, [0; 401]).unfinished()).await;
            }
            assert_too_large(&mut socket, &mut peer).await;
        }
    }

    async fn frames_without_a_mask_are_taken_if_the_settings_say_so(rt) {
        let config = with_limits(&rt, |limits| limits.accept_unmasked_frames(true));
        let (mut socket, mut peer) = with_peer(&config).await;
        peer.send_bytes(&[0x81, 2, b'h', b'i']).await;
        peer.send(Frame::text("masked")).await;
        assert_eq!(received(&mut socket).await, Message::text("hi"));
        assert_eq!(received(&mut socket).await, Message::text("masked"));
    }

    async fn an_invalid_message_is_refused_and_the_connection_still_works(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        for (message, why) in invalid_messages() {
            assert_invalid(&socket.send(message.clone()).await, &why);
            assert_invalid(&socket.feed(message).await, &why);
        }
        socket.send("still here".into()).await.unwrap();
        assert_eq!(peer.frame().await, Some(Frame::text("still here")));
        peer.send(Frame::text("me too")).await;
        assert_eq!(received(&mut socket).await, Message::text("me too"));
    }

    async fn a_close_with_an_invalid_frame_is_refused_and_the_connection_still_works(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        for (message, why) in invalid_messages() {
            if let Message::Close(frame) = message {
                assert_invalid(&socket.close(frame).await, &why);
            }
        }
        socket.send("still here".into()).await.unwrap();
        assert_eq!(peer.frame().await, Some(Frame::text("still here")));
        peer.send(Frame::text("me too")).await;
        assert_eq!(received(&mut socket).await, Message::text("me too"));
    }

    async fn every_legal_close_code_is_sent(rt) {
        for code in (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]) {
            let (mut socket, mut peer) = with_peer(&config(&rt)).await;
            socket.send(close(code, "bye")).await.unwrap();
            assert_eq!(peer.frame().await, Some(Frame::close(code, "bye")));
        }
    }

    async fn the_longest_control_frames_are_sent(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        socket.send(Message::Ping(vec![1; 125].into())).await.unwrap();
        socket.send(Message::Pong(vec![2; 125].into())).await.unwrap();
        let reason = "x".repeat(123);
        socket.send(close(4000, &reason)).await.unwrap();
        assert_eq!(peer.frame().await, Some(Frame::new(PING, [1; 125])));
        assert_eq!(peer.frame().await, Some(Frame::new(PONG, [2; 125])));
        assert_eq!(peer.frame().await, Some(Frame::close(4000, &reason)));
    }

    async fn what_is_written_is_flushed_too(rt) {
        let (near, far) = duplex();
        let (mut socket, mut peer) =
            (server(Scripted::buffering(far), &config(&rt)).await, Peer::new(near));
        socket.send("sent".into()).await.unwrap();
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::text("sent"))));
        socket.feed("fed".into()).await.unwrap();
        assert!(socket.next().now_or_never().is_none());
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::text("fed"))));
        peer.send(Frame::new(PING, "ping")).await;
        received(&mut socket).await;
        assert!(socket.next().now_or_never().is_none());
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::new(PONG, "ping"))));
        peer.send(Frame::close(1000, "")).await;
        received(&mut socket).await;
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::close(1000, ""))));
    }

    async fn after_a_failed_write_what_had_arrived_is_still_delivered(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let (mut socket, mut peer) = (server(far, &config(&rt)).await, Peer::new(near));
        for text in ["one", "two"] {
            peer.send(Frame::text(text)).await;
        }
        script.fail_writes(ErrorKind::BrokenPipe);
        socket.feed("lost".into()).await.unwrap();
        assert_eq!(received(&mut socket).await, Message::text("one"));
        assert_eq!(received(&mut socket).await, Message::text("two"));
        let error = socket.next().await;
        assert!(matches!(error, Some(Err(Error::Io(_)))), "{error:?}");
        assert!(socket.next().await.is_none());
    }

    async fn after_a_failed_pong_what_had_arrived_is_still_delivered(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let (mut socket, mut peer) = (server(far, &config(&rt)).await, Peer::new(near));
        peer.send(Frame::new(PING, "ping")).await;
        peer.send(Frame::text("still here")).await;
        script.fail_writes(ErrorKind::BrokenPipe);
        assert_eq!(received(&mut socket).await, Message::Ping("ping".into()));
        assert_eq!(received(&mut socket).await, Message::text("still here"));
        let error = socket.next().await;
        assert!(matches!(error, Some(Err(Error::Io(_)))), "{error:?}");
        assert!(socket.next().await.is_none());
    }

    async fn send_and_flush_tell_of_a_failed_write(rt) {
        for flush in [false, true] {
            let (near, far) = duplex();
            let (far, script) = Scripted::new(far);
            let mut socket = server(far, &config(&rt)).await;
            script.fail_writes(ErrorKind::ConnectionReset);
            let result = if flush {
                socket.feed("lost".into()).await.unwrap();
                socket.flush().await
            } else {
                socket.send("lost".into()).await
            };
            match result {
                Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
                other => panic!("{other:?}"),
            }
            drop(near);
        }
    }

    async fn a_failed_read_is_one_error_and_then_the_end(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let mut socket = server(far, &config(&rt)).await;
        script.fail_reads(ErrorKind::ConnectionReset);
        match socket.next().await {
            Some(Err(Error::Io(error))) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            other => panic!("{other:?}"),
        }
        assert!(socket.next().await.is_none());
        assert!(matches!(socket.send("late".into()).await, Err(Error::Closed)));
        drop(near);
    }

    async fn the_chosen_subprotocol_is_known_at_both_ends_and_in_both_halves(rt) {
        let (mut request, client) = testing::upgrade("/");
        let offer = "chat, superchat".parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", offer);
        let upgrade = WebSocketUpgrade::<()>::from_request(&mut request).unwrap();
        let config = config(&rt);
        let (response, upgrading) =
            upgrade.set_config(config.clone().set_protocols(["superchat"])).accept();
        let client = client.set_config(config).open(&response).unwrap();
        let server = upgrading.await.unwrap();
        assert_eq!(client.protocol(), Some("superchat"));
        assert_eq!(server.protocol(), Some("superchat"));
        let (sender, receiver) = server.split();
        assert_eq!(sender.protocol(), Some("superchat"));
        assert_eq!(receiver.protocol(), Some("superchat"));
        assert_eq!(sender.reunite(receiver).unwrap().protocol(), Some("superchat"));
    }

    async fn without_a_subprotocol_there_is_none(rt) {
        let (client, server) = pair(&rt);
        assert_eq!(client.protocol(), None);
        assert_eq!(server.split().1.protocol(), None);
    }

    async fn accept_serves_a_bare_stream_with_a_subprotocol(rt) {
        let (mut near, far) = duplex();
        let request = "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Protocol: chat\r\n\r\n";
        // The first message may come in the same segment.
        let early = Frame::text("early").masked();
        near.write_all(&[request.as_bytes(), &early].concat()).await.unwrap();
        let mut socket = accept(far, config(&rt).set_protocols(["chat"])).await.unwrap();
        assert_eq!(socket.protocol(), Some("chat"));
        assert_eq!(received(&mut socket).await, Message::text("early"));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            near.read_exact(&mut byte).await.unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        socket.send("hello".into()).await.unwrap();
        assert_eq!(Peer::new(near).frame().await, Some(Frame::text("hello")));
    }

    async fn a_socket_is_a_stream_and_a_sink(rt) {
        let (mut client, server) = pair(&rt);
        let (sender, receiver) = server.split();
        let echo = receiver.take(3).forward(sender);
        let talk = async {
            for text in ["one", "two", "three"] {
                client.send(text.into()).await.unwrap();
                assert_eq!(received(&mut client).await, Message::text(text));
            }
        };
        let (echoed, ()) = join(echo, talk).await;
        echoed.unwrap();
    }
}

/// A message or frame is too large: the peer is told so by 1009, and the user by one error.
async fn assert_too_large(socket: &mut WebSocket, peer: &mut Peer) {
    match socket.next().await {
        Some(Err(Error::Protocol(error))) => assert_eq!(error.close_code(), CloseCode::Size),
        other => panic!("{other:?}"),
    }
    assert_eq!(peer.frame().await.expect("a Close comes").code(), 1009);
    assert!(socket.next().await.is_none());
}
