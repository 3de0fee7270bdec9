//! The ends of a connection: by either side, by a failure, by a drop.

use std::{
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, Instant},
};

use anyws::{
    CloseCode, CloseFrame, Error, Message, Runtime, Sleep, TimeoutPhase, WebSocket,
    WebSocketConfig, rt,
    testing::{self, duplex, duplex_with_capacity},
};
use futures::{
    AsyncReadExt, FutureExt, SinkExt, StreamExt,
    executor::block_on,
    future::{BoxFuture, Either, join, select},
    poll,
    stream::{self, FusedStream},
};
use support::{
    bounded,
    frames::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, Peer, TEXT, server, with_peer},
    runtimes,
    scripted::{
        Event::{self, Close, Drop, End},
        Script, Scripted,
    },
};

/// How long a socket waits for a peer that never closes: as short as a test likes it.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(50);

/// Settings for the tests that are not to end by a timeout.
fn config(runtime: &Arc<dyn Runtime>) -> WebSocketConfig {
    support::config(runtime).set_close_timeout(Duration::from_secs(3600))
}

fn impatient(runtime: &Arc<dyn Runtime>) -> WebSocketConfig {
    support::config(runtime).set_close_timeout(CLOSE_TIMEOUT)
}

fn close_frame(code: u16, reason: &str) -> CloseFrame {
    CloseFrame {
        code: CloseCode::from(code),
        reason: reason.into(),
    }
}

/// A server's socket whose stream is watched, and its peer.
async fn watched(config: &WebSocketConfig) -> (WebSocket, Peer, Script) {
    let (near, far) = duplex();
    let (far, script) = Scripted::new(far);
    (server(far, config).await, Peer::new(near), script)
}

/// What was done with a stream beside writing.
fn order(script: &Script) -> Vec<Event> {
    let events = script.events().into_iter();
    events.filter(|it| !matches!(it, Event::Write(_))).collect()
}

async fn assert_close(socket: &mut WebSocket, expected: Option<CloseFrame>) {
    match socket.next().await {
        Some(Ok(Message::Close(frame))) => assert_eq!(frame, expected),
        other => panic!("{other:?}"),
    }
}

/// Nothing comes any more, however often it is asked for.
async fn assert_ended(socket: &mut WebSocket) {
    for _ in 0..3 {
        assert!(socket.next().await.is_none());
        assert!(socket.is_terminated());
    }
}

/// Nothing can be sent any more.
async fn assert_closed(socket: &mut WebSocket) {
    for _ in 0..2 {
        for message in [
            "late".into(),
            Message::Ping("late".into()),
            Message::Close(None),
        ] {
            let sent = socket.send(message.clone()).await;
            assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
            let fed = socket.feed(message.clone()).await;
            assert!(matches!(fed, Err(Error::Closed)), "{fed:?}");
            // The end may also come between `poll_ready` and this.
            let buffered = socket.start_send_unpin(message);
            assert!(matches!(buffered, Err(Error::Closed)), "{buffered:?}");
        }
    }
}

/// Drops a socket as a handler does that panics.
fn drop_while_panicking(socket: WebSocket) {
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _socket = socket;
        // Without the hook, which would print what nobody has to see.
        resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
}

/// What a peer may do wrong, and the code by which it is told so.
fn violations() -> Vec<(Vec<u8>, u16)> {
    let unmasked = vec![0x81, 1, b'x'];
    let frames = |frames: &[Frame]| frames.iter().flat_map(Frame::masked).collect();
    vec![
        (frames(&[Frame::text("x").with_bits(0x40)]), 1002),
        (frames(&[Frame::text("x").with_bits(0x20)]), 1002),
        (frames(&[Frame::text("x").with_bits(0x10)]), 1002),
        (frames(&[Frame::new(3, "x")]), 1002),
        (frames(&[Frame::new(7, "x")]), 1002),
        (frames(&[Frame::new(11, "x")]), 1002),
        (frames(&[Frame::new(15, "x")]), 1002),
        (unmasked, 1002),
        (frames(&[Frame::new(PING, [0; 126])]), 1002),
        (frames(&[Frame::new(PONG, "x").unfinished()]), 1002),
        (frames(&[Frame::new(CONTINUATION, "x")]), 1002),
        (
            frames(&[Frame::text("x").unfinished(), Frame::text("y")]),
            1002,
        ),
        (frames(&[Frame::new(CLOSE, [3])]), 1002),
        (frames(&[Frame::new(CLOSE, [3, 232, 0xff])]), 1007),
        (frames(&[Frame::new(TEXT, [0xc3])]), 1007),
        (
            frames(&[
                Frame::new(TEXT, [0xc3]).unfinished(),
                Frame::new(CONTINUATION, "x"),
            ]),
            1007,
        ),
    ]
}

runtimes! {
    async fn the_close_of_the_peer_is_told_and_answered_and_then_nothing_comes(rt) {
        for (code, reason) in [(1000, ""), (1001, "moving on"), (3000, ""), (4999, "über")] {
            let (mut socket, mut peer) = with_peer(&config(&rt)).await;
            assert!(!socket.is_terminated());
            peer.send(Frame::close(code, reason)).await;
            assert_close(&mut socket, Some(close_frame(code, reason))).await;
            // Nobody polls the socket now.
            let answer = peer.frame().now_or_never().flatten();
            assert_eq!(answer.expect("the answer was written").code(), code);
            assert_ended(&mut socket).await;
            assert_closed(&mut socket).await;
        }
    }

    async fn a_socket_is_terminated_once_next_has_returned_none(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        peer.send(Frame::text("before")).await;
        peer.send(Frame::close(1000, "")).await;
        assert!(socket.next().await.unwrap().unwrap().is_text());
        assert!(!socket.is_terminated());
        assert_close(&mut socket, Some(close_frame(1000, ""))).await;
        assert!(!socket.is_terminated(), "`None` follows a Close");
        assert_ended(&mut socket).await;

        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        peer.send(Frame::new(CONTINUATION, "wrong")).await;
        assert!(matches!(socket.next().await, Some(Err(Error::Protocol(_)))));
        assert!(!socket.is_terminated(), "`None` follows an error");
        assert_ended(&mut socket).await;

        // `close` has read the Close, and `next` has not returned it yet.
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        let (closed, _) = join(socket.close(None), peer.see_off()).await;
        closed.unwrap();
        assert!(!socket.is_terminated());
        assert_close(&mut socket, None).await;
        assert!(!socket.is_terminated());
        assert_ended(&mut socket).await;
    }

    async fn the_receiving_half_is_terminated_once_next_has_returned_none(rt) {
        let (socket, mut peer) = with_peer(&config(&rt)).await;
        let (_sender, mut receiver) = socket.split();
        assert!(!receiver.is_terminated());
        peer.send(Frame::close(1000, "")).await;
        assert!(receiver.next().await.unwrap().unwrap().is_close());
        assert!(!receiver.is_terminated());
        assert!(receiver.next().await.is_none());
        assert!(receiver.is_terminated());
    }

    async fn next_writes_the_answer_to_a_close_on_when_it_tells_the_end(rt) {
        // A text of 6 bytes fills the stream in one direction, the peer's Close in the other.
        let (near, far) = duplex_with_capacity(8);
        let (mut socket, mut peer) = (server(far, &config(&rt)).await, Peer::new(near));
        socket.send("filled".into()).await.unwrap();
        peer.send(Frame::close(4000, "")).await;
        assert_close(&mut socket, Some(close_frame(4000, ""))).await;
        assert_eq!(peer.frame().await, Some(Frame::text("filled")));
        assert!(peer.frame().now_or_never().is_none(), "there was no room for the answer");
        assert!(socket.next().await.is_none());
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::close(4000, ""))));
    }

    async fn a_close_without_a_code_is_answered_without_one(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        peer.send(Frame::new(CLOSE, [])).await;
        assert_close(&mut socket, None).await;
        assert_eq!(peer.frame().await, Some(Frame::new(CLOSE, [])));
        assert_ended(&mut socket).await;
    }

    async fn what_was_fed_goes_before_the_answer_to_a_close(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        socket.feed("first".into()).await.unwrap();
        peer.send(Frame::close(1000, "")).await;
        assert_close(&mut socket, Some(close_frame(1000, ""))).await;
        assert_eq!(peer.frame().await, Some(Frame::text("first")));
        assert_eq!(peer.frame().await.unwrap().code(), 1000);
    }

    async fn the_end_of_the_stream_without_a_close_is_one_error_and_then_nothing_comes(rt) {
        let ping = Frame::new(PING, "whole").masked();
        let part = Frame::text("a part").masked();
        let unfinished = Frame::text("a part").unfinished().masked();
        for bytes in [&[][..], &ping, &part[..1], &part[..8], &unfinished] {
            let (mut socket, mut peer) = with_peer(&config(&rt)).await;
            peer.send_bytes(bytes).await;
            peer.finish().await;
            let mut item = socket.next().await;
            if matches!(item, Some(Ok(Message::Ping(_)))) {
                item = socket.next().await;
            }
            assert!(matches!(item, Some(Err(Error::ClosedWithoutHandshake))), "{item:?}");
            assert_ended(&mut socket).await;
            assert_closed(&mut socket).await;
        }
    }

    async fn a_violation_is_told_to_the_peer_and_to_the_user_and_then_nothing_comes(rt) {
        for (bytes, code) in violations() {
            let (mut socket, mut peer) = with_peer(&config(&rt)).await;
            peer.send_bytes(&bytes).await;
            match socket.next().await {
                Some(Err(Error::Protocol(error))) => {
                    assert_eq!(u16::from(error.close_code()), code, "{bytes:?}");
                }
                other => panic!("{bytes:?}: {other:?}"),
            }
            assert_eq!(peer.frame().await.expect("a Close comes").code(), code, "{bytes:?}");
            assert_ended(&mut socket).await;
            assert_closed(&mut socket).await;
        }
    }

    async fn a_close_with_a_code_that_is_not_for_the_wire_is_a_violation(rt) {
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, u16::MAX] {
            let (mut socket, mut peer) = with_peer(&config(&rt)).await;
            peer.send(Frame::close(code, "")).await;
            assert!(socket.next().await.is_some());
            assert_eq!(peer.frame().await.expect("a Close comes").code(), 1002, "{code}");
            assert_ended(&mut socket).await;
        }
    }

    async fn what_precedes_a_violation_is_delivered_and_what_follows_is_not(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        peer.send(Frame::text("right")).await;
        peer.send(Frame::new(CONTINUATION, "wrong")).await;
        peer.send(Frame::text("too late")).await;
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("right"));
        assert!(matches!(socket.next().await, Some(Err(Error::Protocol(_)))));
        assert_ended(&mut socket).await;
    }

    async fn a_violation_closes_the_tcp_connection_in_order_once_the_socket_is_dropped(rt) {
        let (mut socket, mut peer, script) = watched(&config(&rt)).await;
        peer.send(Frame::new(CONTINUATION, "wrong")).await;
        assert!(matches!(socket.next().await, Some(Err(Error::Protocol(_)))));
        drop(socket);
        assert_eq!(peer.frame().await.expect("a Close comes").code(), 1002);
        assert_eq!(peer.frame().await, None);
        // The drain discards it: it is parsed no more.
        peer.send(Frame::text("still talking")).await;
        peer.finish().await;
        script.dropped().await;
        assert_eq!(order(&script), [Close, End, Drop]);
    }

    async fn after_a_close_was_sent_nothing_else_is(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        socket.feed("before".into()).await.unwrap();
        socket.send(Message::Close(Some(close_frame(4000, "enough")))).await.unwrap();
        assert_closed(&mut socket).await;
        // Pings want no answer any more either, and what arrives is still told.
        peer.send(Frame::new(PING, "ping")).await;
        peer.send(Frame::text("on its way")).await;
        peer.send(Frame::close(4000, "agreed")).await;
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::Ping("ping".into()));
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("on its way"));
        assert_close(&mut socket, Some(close_frame(4000, "agreed"))).await;
        assert_ended(&mut socket).await;
        drop(socket);
        assert_eq!(peer.frame().await, Some(Frame::text("before")));
        assert_eq!(peer.frame().await, Some(Frame::close(4000, "enough")));
        assert_eq!(peer.frame().await, None);
    }

    async fn close_completes_the_handshake_and_ends_the_tcp_connection_in_order(rt) {
        let (mut socket, mut peer, script) = watched(&config(&rt)).await;
        socket.feed("buffered".into()).await.unwrap();
        let close = socket.close(close_frame(4000, "done"));
        let (closed, (frames, frame)) = join(close, peer.see_off()).await;
        closed.unwrap();
        assert_eq!(frames, [Frame::text("buffered")]);
        assert_eq!(frame, Frame::close(4000, "done"));
        assert_eq!(order(&script), [Close, End, Drop]);
        assert_ended_after_close(&mut socket).await;
        assert_closed(&mut socket).await;
        // Nothing is left to be done.
        let before = script.events().len();
        drop(socket);
        assert_eq!(script.events().split_off(before), []);
    }

    async fn close_without_a_frame_sends_no_code(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        let (closed, (_, frame)) = join(socket.close(None), peer.see_off()).await;
        closed.unwrap();
        assert_eq!(frame, Frame::new(CLOSE, []));
    }

    async fn close_waits_for_the_close_of_the_peer(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        let mut close = pin!(socket.close(None));
        assert!(poll!(&mut close).is_pending());
        let (closed, _) = join(close, peer.see_off()).await;
        closed.unwrap();
    }

    async fn a_client_closes_and_the_server_that_reads_on_hears_of_it(rt) {
        let (mut client, mut server) = testing::pair_with(&config(&rt)).unwrap();
        let serve = async move {
            assert_close(&mut server, Some(close_frame(1001, "leaving"))).await;
            assert_ended(&mut server).await;
        };
        let (closed, ()) = join(client.close(close_frame(1001, "leaving")), serve).await;
        closed.unwrap();
    }

    async fn a_server_closes_and_the_client_that_reads_on_hears_of_it(rt) {
        let (mut client, mut server) = testing::pair_with(&config(&rt)).unwrap();
        let read = async move {
            assert_close(&mut client, Some(close_frame(1012, "restart"))).await;
            assert_ended(&mut client).await;
        };
        let (closed, ()) = join(server.close(close_frame(1012, "restart")), read).await;
        closed.unwrap();
    }

    async fn both_may_close_at_once(rt) {
        let (mut client, mut server) = testing::pair_with(&config(&rt)).unwrap();
        let (one, other) = join(client.close(None), server.close(None)).await;
        one.unwrap();
        other.unwrap();
    }

    async fn close_answers_the_peer_that_has_closed_before(rt) {
        let (mut socket, mut peer, script) = watched(&config(&rt)).await;
        peer.send(Frame::close(3000, "me first")).await;
        peer.finish().await;
        assert_close(&mut socket, Some(close_frame(3000, "me first"))).await;
        socket.close(close_frame(4000, "no, me")).await.unwrap();
        assert_eq!(peer.frame().await.expect("the answer comes").code(), 3000);
        assert_eq!(peer.frame().await, None);
        assert_eq!(order(&script), [Close, End, Drop]);
    }

    async fn close_discards_the_data_that_still_arrives(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        let talk = async {
            // More than the stream holds: it goes through only if it is read.
            for _ in 0..64 {
                peer.send(Frame::new(BINARY, [0; 16 * 1024])).await;
            }
            peer.see_off().await
        };
        let (closed, (frames, _)) = join(socket.close(None), talk).await;
        closed.unwrap();
        assert!(frames.is_empty());
        assert_ended_after_close(&mut socket).await;
    }

    async fn close_reads_though_its_own_write_waits(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        socket.feed(Message::binary(vec![7; 1024 * 1024])).await.unwrap();
        let talk = async {
            // This peer reads nothing before it has said everything.
            for _ in 0..64 {
                peer.send(Frame::new(BINARY, [0; 16 * 1024])).await;
            }
            peer.see_off().await
        };
        let (closed, (frames, _)) = join(socket.close(None), talk).await;
        closed.unwrap();
        assert!(frames == [Frame::new(BINARY, vec![7; 1024 * 1024])]);
    }

    async fn close_times_out_if_the_peer_does_not_answer(rt) {
        let (mut socket, mut peer) = with_peer(&impatient(&rt)).await;
        let started = rt.now();
        let closed = socket.close(close_frame(1000, "")).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
        assert!(rt.now() - started >= CLOSE_TIMEOUT);
        assert_closed(&mut socket).await;
        assert_eq!(peer.frame().await, Some(Frame::close(1000, "")));
    }

    async fn close_times_out_if_the_peer_does_not_read(rt) {
        let (near, far) = duplex_with_capacity(1);
        let mut socket = server(far, &impatient(&rt)).await;
        socket.feed("too long for it".into()).await.unwrap();
        let closed = socket.close(None).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
        drop(near);
    }

    async fn close_times_out_if_its_own_close_could_not_be_written(rt) {
        let (near, far) = duplex_with_capacity(100);
        let (mut socket, mut peer) = (server(far, &impatient(&rt)).await, Peer::new(near));
        socket.feed(Message::binary(vec![7; 1000])).await.unwrap();
        // The peer sends its Close, but reads nothing.
        peer.send(Frame::close(1000, "")).await;
        let closed = socket.close(None).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");

        // The same if our Close is an answer.
        let (near, far) = duplex_with_capacity(100);
        let (mut socket, mut peer) = (server(far, &impatient(&rt)).await, Peer::new(near));
        socket.feed(Message::binary(vec![7; 1000])).await.unwrap();
        peer.send(Frame::close(1000, "")).await;
        assert_close(&mut socket, Some(close_frame(1000, ""))).await;
        let closed = socket.close(None).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
    }

    async fn close_times_out_though_data_arrives_for_ever(rt) {
        let (mut socket, mut peer) = with_peer(&impatient(&rt)).await;
        let flood = async {
            loop {
                peer.send(Frame::text("and another thing")).await;
            }
        };
        let Either::Left((closed, _)) = select(pin!(socket.close(None)), pin!(flood)).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
    }

    async fn a_peer_that_answers_but_keeps_the_stream_open_is_no_error(rt) {
        let (mut socket, mut peer, script) = watched(&impatient(&rt)).await;
        peer.send(Frame::close(1000, "")).await;
        socket.close(None).await.unwrap();
        assert_eq!(order(&script), [Close, Drop]);
        drop(socket);
        assert!(script.is_dropped());
    }

    async fn close_tells_what_comes_in_the_place_of_a_close(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        peer.finish().await;
        let closed = socket.close(None).await;
        assert!(matches!(closed, Err(Error::ClosedWithoutHandshake)), "{closed:?}");

        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        peer.send(Frame::new(CONTINUATION, "wrong")).await;
        peer.finish().await;
        let closed = socket.close(close_frame(4000, "")).await;
        assert!(matches!(closed, Err(Error::Protocol(_))), "{closed:?}");
        // One Close is all that a peer gets.
        assert_eq!(peer.frame().await, Some(Frame::close(4000, "")));
        assert_eq!(peer.frame().await, None);

        let (mut socket, _peer, script) = watched(&config(&rt)).await;
        script.fail_reads(ErrorKind::ConnectionReset);
        let closed = socket.close(None).await;
        assert!(matches!(closed, Err(Error::Io(_))), "{closed:?}");
    }

    async fn close_after_an_error_does_what_is_left(rt) {
        let (mut socket, mut peer, script) = watched(&config(&rt)).await;
        peer.send(Frame::new(CONTINUATION, "wrong")).await;
        assert!(matches!(socket.next().await, Some(Err(Error::Protocol(_)))));
        peer.finish().await;
        socket.close(None).await.unwrap();
        assert_eq!(peer.frame().await.expect("a Close comes").code(), 1002);
        assert_eq!(peer.frame().await, None);
        assert_eq!(order(&script), [Close, End, Drop]);
    }

    async fn close_after_a_close_that_was_sent_waits_for_the_answer(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        socket.send(Message::Close(Some(close_frame(4000, "")))).await.unwrap();
        let (closed, (_, frame)) = join(socket.close(None), peer.see_off()).await;
        closed.unwrap();
        assert_eq!(frame, Frame::close(4000, ""));
    }

    async fn closing_the_sink_sends_1000_and_does_not_wait_for_the_peer(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        socket.feed("buffered".into()).await.unwrap();
        let closed = SinkExt::close(&mut socket).now_or_never();
        closed.expect("it does not wait").unwrap();
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::text("buffered"))));
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::close(1000, ""))));
        assert_closed(&mut socket).await;
        // What the peer still says is for whoever receives.
        peer.send(Frame::text("on its way")).await;
        peer.send(Frame::close(1000, "")).await;
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("on its way"));
        assert_close(&mut socket, Some(close_frame(1000, ""))).await;
        assert_ended(&mut socket).await;
        SinkExt::close(&mut socket).await.unwrap();
    }

    async fn closing_the_sink_waits_until_the_close_is_written(rt) {
        let (near, far) = duplex_with_capacity(100);
        let (mut socket, mut peer) = (server(far, &config(&rt)).await, Peer::new(near));
        socket.feed(Message::binary(vec![7; 1000])).await.unwrap();
        let mut close = SinkExt::close(&mut socket);
        assert!(poll!(&mut close).is_pending());
        let read = async {
            assert_eq!(peer.frame().await, Some(Frame::new(BINARY, [7; 1000])));
            assert_eq!(peer.frame().await, Some(Frame::close(1000, "")));
        };
        let (closed, ()) = join(close, read).await;
        closed.unwrap();
    }

    async fn a_pong_that_waits_goes_before_the_close(rt) {
        for end in 0..4 {
            let (mut socket, mut peer) = with_peer(&config(&rt)).await;
            peer.send(Frame::new(PING, "ping")).await;
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::Ping("ping".into()));
            match end {
                0 => assert!(socket.close(None).now_or_never().is_none()),
                1 => SinkExt::close(&mut socket).await.unwrap(),
                2 => socket.send(Message::Close(None)).await.unwrap(),
                _ => {}
            }
            drop(socket);
            let (frames, _) = peer.see_off().await;
            assert_eq!(frames, [Frame::new(PONG, "ping")]);
        }
    }

    async fn forward_ends_with_a_close(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        let messages = stream::iter(["one", "two"]).map(|text| Ok(text.into()));
        messages.forward(&mut socket).await.unwrap();
        assert_eq!(peer.frame().await, Some(Frame::text("one")));
        assert_eq!(peer.frame().await, Some(Frame::text("two")));
        assert_eq!(peer.frame().await, Some(Frame::close(1000, "")));
    }

    async fn a_dropped_socket_writes_what_is_buffered_and_closes_in_order(rt) {
        let (mut socket, mut peer, script) = watched(&config(&rt)).await;
        socket.feed("one".into()).await.unwrap();
        socket.feed("two".into()).await.unwrap();
        drop(socket);
        let (frames, close) = peer.see_off().await;
        assert_eq!(frames, [Frame::text("one"), Frame::text("two")]);
        assert_eq!(close, Frame::close(1000, ""));
        script.dropped().await;
        assert_eq!(order(&script), [Close, End, Drop]);
    }

    async fn a_dropped_socket_writes_more_than_the_stream_holds(rt) {
        let (mut socket, mut peer, script) = watched(&config(&rt)).await;
        socket.feed(Message::binary(vec![7; 1024 * 1024])).await.unwrap();
        drop(socket);
        let (frames, close) = peer.see_off().await;
        assert!(frames == [Frame::new(BINARY, vec![7; 1024 * 1024])]);
        assert_eq!(close, Frame::close(1000, ""));
        script.dropped().await;
    }

    async fn a_dropped_socket_discards_what_arrives_before_the_close(rt) {
        let (socket, mut peer, script) = watched(&config(&rt)).await;
        drop(socket);
        for _ in 0..64 {
            peer.send(Frame::new(BINARY, [0; 16 * 1024])).await;
        }
        let (frames, close) = peer.see_off().await;
        assert_eq!((frames, close), (vec![], Frame::close(1000, "")));
        script.dropped().await;
        assert_eq!(order(&script), [Close, End, Drop]);
    }

    async fn a_socket_dropped_by_a_panic_closes_with_1011(rt) {
        let (mut socket, mut peer, script) = watched(&config(&rt)).await;
        socket.feed("buffered".into()).await.unwrap();
        drop_while_panicking(socket);
        let (frames, close) = peer.see_off().await;
        assert_eq!(frames, [Frame::text("buffered")]);
        assert_eq!(close.code(), 1011);
        script.dropped().await;
    }

    async fn a_dropped_client_closes_too(rt) {
        let (client, mut server) = testing::pair_with(&config(&rt)).unwrap();
        drop(client);
        assert_close(&mut server, Some(close_frame(1000, ""))).await;
        assert_ended(&mut server).await;
        server.close(None).await.unwrap();
    }

    async fn a_socket_dropped_after_the_close_of_the_peer_ends_the_stream_in_order(rt) {
        let (mut socket, mut peer, script) = watched(&config(&rt)).await;
        peer.send(Frame::close(4000, "")).await;
        assert_close(&mut socket, Some(close_frame(4000, ""))).await;
        drop(socket);
        assert_eq!(peer.frame().await.expect("the answer comes").code(), 4000);
        assert_eq!(peer.frame().await, None);
        peer.finish().await;
        script.dropped().await;
        assert_eq!(order(&script), [Close, End, Drop]);
    }

    async fn a_socket_dropped_while_it_closes_completes_that(rt) {
        let (mut socket, mut peer, script) = watched(&config(&rt)).await;
        assert!(socket.close(close_frame(4000, "")).now_or_never().is_none());
        drop(socket);
        let (_, close) = peer.see_off().await;
        assert_eq!(close, Frame::close(4000, ""));
        script.dropped().await;
        assert_eq!(order(&script), [Close, End, Drop]);
    }

    async fn a_dropped_socket_waits_no_longer_than_the_close_timeout_for_a_close(rt) {
        let (socket, mut peer, script) = watched(&impatient(&rt)).await;
        let started = rt.now();
        drop(socket);
        script.dropped().await;
        assert!(rt.now() - started >= CLOSE_TIMEOUT);
        assert_eq!(peer.frame().await, Some(Frame::close(1000, "")));
        assert_eq!(peer.frame().await, None);
    }

    async fn a_dropped_socket_waits_no_longer_than_the_close_timeout_for_room(rt) {
        let (near, far) = duplex_with_capacity(1);
        let (far, script) = Scripted::new(far);
        let mut socket = server(far, &impatient(&rt)).await;
        socket.feed("too long for it".into()).await.unwrap();
        drop(socket);
        script.dropped().await;
        drop(near);
    }

    async fn a_dropped_socket_waits_no_longer_than_the_close_timeout_for_the_end(rt) {
        let (socket, mut peer, script) = watched(&impatient(&rt)).await;
        drop(socket);
        assert_eq!(peer.frame().await, Some(Frame::close(1000, "")));
        peer.send(Frame::close(1000, "")).await;
        assert_eq!(peer.frame().await, None);
        script.dropped().await;
        assert_eq!(order(&script), [Close, Drop]);
    }

    async fn a_socket_whose_stream_has_failed_is_dropped_without_ado(rt) {
        let (mut socket, _peer, script) = watched(&config(&rt)).await;
        script.fail_reads(ErrorKind::ConnectionReset);
        script.fail_writes(ErrorKind::ConnectionReset);
        assert!(socket.send("lost".into()).await.is_err());
        drop(socket);
        script.dropped().await;
    }
}

/// After `close` the peer's Close may still be told, as `close` has returned nothing of it.
async fn assert_ended_after_close(socket: &mut WebSocket) {
    let item = socket.next().await;
    assert!(
        matches!(item, None | Some(Ok(Message::Close(_)))),
        "{item:?}"
    );
    assert_ended(socket).await;
}

/// The ends of a socket that has nothing to wait with.
mod without_a_runtime {
    use super::*;

    /// A runtime that has no timers is none that could finish what is dropped.
    #[derive(Debug)]
    struct Timerless;

    impl Runtime for Timerless {
        fn spawn(&self, task: BoxFuture<'static, ()>) {
            let ran = task.now_or_never();
            ran.expect("a task that waits was spawned, and nothing bounds its time");
        }

        fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
            panic!("there are no timers");
        }

        fn has_timers(&self) -> bool {
            false
        }
    }

    /// Runs a test without timers and, as far as the features allow, without a runtime.
    fn run(body: impl AsyncFn(WebSocketConfig) + Send + 'static) {
        bounded(move || {
            block_on(body(
                WebSocketConfig::new().set_runtime(Arc::new(Timerless)),
            ));
            if rt::detect().is_none() {
                block_on(body(WebSocketConfig::new()));
            }
        });
    }

    #[test]
    fn a_dropped_socket_writes_without_waiting_and_drops_its_stream() {
        run(async |config| {
            let (mut socket, mut peer, script) = watched(&config).await;
            socket.feed("buffered".into()).await.unwrap();
            drop(socket);
            assert!(script.is_dropped());
            assert_eq!(peer.frame().await, Some(Frame::text("buffered")));
            assert_eq!(peer.frame().await, Some(Frame::close(1000, "")));
            assert_eq!(peer.frame().await, None);
        });
    }

    #[test]
    fn a_socket_dropped_by_a_panic_says_so() {
        run(async |config| {
            let (socket, mut peer, script) = watched(&config).await;
            drop_while_panicking(socket);
            assert!(script.is_dropped());
            assert_eq!(peer.frame().await.expect("a Close comes").code(), 1011);
        });
    }

    #[test]
    fn a_dropped_socket_does_not_wait_for_room() {
        run(async |config| {
            let (mut near, far) = duplex_with_capacity(4);
            let (far, script) = Scripted::new(far);
            let mut socket = server(far, &config).await;
            socket.feed("too long for it".into()).await.unwrap();
            drop(socket);
            assert!(script.is_dropped());
            let mut bytes = Vec::new();
            near.read_to_end(&mut bytes).await.unwrap();
            assert_eq!(bytes, [0x81, 15, b't', b'o']);
        });
    }

    #[test]
    fn close_writes_and_does_not_wait_for_the_peer() {
        run(async |config| {
            let (mut socket, mut peer) = with_peer(&config).await;
            socket.feed("buffered".into()).await.unwrap();
            socket.close(close_frame(4000, "done")).await.unwrap();
            assert_eq!(peer.frame().await, Some(Frame::text("buffered")));
            assert_eq!(peer.frame().await, Some(Frame::close(4000, "done")));
            assert_closed(&mut socket).await;
            drop(socket);
            assert_eq!(peer.frame().await, None);
        });
    }

    #[test]
    fn everything_else_works() {
        run(async |config| {
            let (mut client, mut server) = testing::pair_with(&config).unwrap();
            client.send("hello".into()).await.unwrap();
            assert_eq!(
                server.next().await.unwrap().unwrap(),
                Message::text("hello")
            );
            client.send(Message::Close(None)).await.unwrap();
            assert_close(&mut server, None).await;
            assert_ended(&mut server).await;
            assert_close(&mut client, None).await;
            drop(server);
            assert_ended(&mut client).await;
        });
    }

    #[test]
    fn a_close_timeout_that_was_asked_for_is_an_error() {
        run(async |config| {
            let pair = testing::pair_with(&config.set_close_timeout(CLOSE_TIMEOUT));
            assert!(matches!(pair, Err(Error::NoRuntime)), "{pair:?}");
        });
    }
}
