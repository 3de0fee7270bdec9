//! The two halves of a socket, in two tasks.

use std::{
    future::Future,
    io::ErrorKind,
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task::{Wake, Waker},
    time::Duration,
};

use anyws::{
    CloseCode, CloseFrame, Error, Message, ReceiveHalf, Result, Runtime, SendHalf, TimeoutPhase,
    TransportConfig, WebSocket, WebSocketConfig,
    testing::{self, duplex, duplex_with_capacity},
};
use futures::{
    FutureExt, SinkExt, StreamExt,
    future::{BoxFuture, Either, join, select},
    poll,
    stream::{self, FusedStream},
};
use support::{
    frames::{BINARY, CONTINUATION, Frame, PING, PONG, Peer, TEXT, server, with_peer},
    room::Narrow,
    runtimes,
    scripted::{Event, Scripted},
    tasks::{poll_with, spawn, waker, yield_to_tasks},
};

/// Settings for tests that are not to end by a timeout.
fn config(runtime: &Arc<dyn Runtime>) -> WebSocketConfig {
    support::config(runtime).set_close_timeout(Duration::from_secs(3600))
}

/// The halves of a server's socket, and its peer.
async fn halves(config: &WebSocketConfig) -> (SendHalf, ReceiveHalf, Peer) {
    let (socket, peer) = with_peer(config).await;
    let (sender, receiver) = socket.split();
    (sender, receiver, peer)
}

fn normal() -> CloseFrame {
    CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    }
}

async fn received(receiver: &mut ReceiveHalf) -> Message {
    receiver
        .next()
        .await
        .expect("no end yet")
        .expect("no error")
}

async fn assert_close(receiver: &mut ReceiveHalf) {
    let item = receiver.next().await;
    assert!(matches!(item, Some(Ok(Message::Close(_)))), "{item:?}");
    assert_ended(receiver).await;
}

async fn assert_ended(receiver: &mut ReceiveHalf) {
    for _ in 0..3 {
        assert!(receiver.next().await.is_none());
        assert!(receiver.is_terminated());
    }
}

async fn assert_closed(sender: &mut SendHalf) {
    let sent = sender.send("late".into()).await;
    assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
    let fed = sender.feed("late".into()).await;
    assert!(matches!(fed, Err(Error::Closed)), "{fed:?}");
}

async fn assert_works(client: &mut WebSocket, server: &mut WebSocket) {
    client.send("there".into()).await.unwrap();
    assert_eq!(
        server.next().await.unwrap().unwrap(),
        Message::text("there")
    );
    server.send("back".into()).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::text("back"));
}

/// Sends numbered messages, which are long enough to fill the stream now and then.
async fn send_numbers(mut sender: SendHalf, count: usize) -> SendHalf {
    for number in 0..count {
        sender
            .send(Message::text(format!("{number:100}")))
            .await
            .unwrap();
    }
    sender
}

async fn receive_numbers(mut receiver: ReceiveHalf, count: usize) -> ReceiveHalf {
    for number in 0..count {
        assert_eq!(
            received(&mut receiver).await,
            Message::text(format!("{number:100}"))
        );
    }
    receiver
}

/// The settings and the socket of a sender that soon has to wait for room.
async fn narrow(runtime: &Arc<dyn Runtime>) -> (SendHalf, ReceiveHalf, Peer) {
    let transport = TransportConfig::default()
        .write_buffer_size(0)
        .max_write_buffer_size(100);
    let (near, far) = duplex_with_capacity(100);
    let socket = server(far, &config(runtime).set_transport(transport)).await;
    let (sender, receiver) = socket.split();
    (sender, receiver, Peer::new(near))
}

/// Fails a test early that would wait for what nobody does.
async fn soon<T>(runtime: &Arc<dyn Runtime>, future: impl Future<Output = T>) -> T {
    let limit = runtime.sleep_until(runtime.now() + Duration::from_secs(5));
    match select(pin!(future), limit).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("nobody does it"),
    }
}

/// A call of the sender's that has a message to lose.
type Loses = fn(&mut SendHalf) -> BoxFuture<'_, Result<()>>;

const SENDING: [(&str, Loses); 3] = [
    ("send", |sender| sender.send("lost".into()).boxed()),
    ("flush", |sender| sender.flush().boxed()),
    ("close of the sink", |sender| SinkExt::close(sender).boxed()),
];

fn assert_reset(result: &Result<()>, call: &str) {
    match result {
        Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{call}"),
        other => panic!("{call}: {other:?}"),
    }
}

runtimes! {
    async fn two_tasks_send_and_receive_at_once(rt) {
        const COUNT: usize = 10_000;
        let (client, server) = testing::pair_with(&config(&rt)).unwrap();
        let [client, server] = [client, server].map(|socket| {
            let (sender, receiver) = socket.split();
            let sender = spawn(&rt, send_numbers(sender, COUNT));
            (sender, spawn(&rt, receive_numbers(receiver, COUNT)))
        });
        // They are still halves of sockets that work.
        let mut client = client.0.await.unwrap().reunite(client.1.await.unwrap()).unwrap();
        let mut server = server.0.await.unwrap().reunite(server.1.await.unwrap()).unwrap();
        assert_works(&mut client, &mut server).await;
    }

    async fn halves_put_together_are_a_socket_that_works(rt) {
        let (mut client, server) = testing::pair_with(&config(&rt)).unwrap();
        let (mut sender, receiver) = server.split();
        sender.feed("buffered".into()).await.unwrap();
        let mut server = sender.reunite(receiver).unwrap();
        server.flush().await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text("buffered"));
        assert_works(&mut client, &mut server).await;
        let (one, other) = join(client.close(None), server.close(None)).await;
        one.unwrap();
        other.unwrap();
    }

    async fn halves_of_different_sockets_are_given_back(rt) {
        let (mut client, server) = testing::pair_with(&config(&rt)).unwrap();
        let (mut other_client, other_server) = testing::pair_with(&config(&rt)).unwrap();
        let ((sender, receiver), (other_sender, other_receiver)) =
            (server.split(), other_server.split());
        let error = sender.reunite(other_receiver).unwrap_err();
        let (sender, other_receiver) = (error.0, error.1);
        assert_works(&mut client, &mut sender.reunite(receiver).unwrap()).await;
        let mut other_server = other_sender.reunite(other_receiver).unwrap();
        assert_works(&mut other_client, &mut other_server).await;
    }

    async fn a_split_in_the_middle_of_a_message_loses_nothing(rt) {
        let frames = [
            Frame::new(TEXT, &"größer".as_bytes()[..3]).unfinished(),
            Frame::new(CONTINUATION, &"größer".as_bytes()[3..]),
        ];
        let bytes = frames.map(|frame| frame.masked()).concat();
        // Every header, character and fragment is cut at each of its places.
        for cut in 0..bytes.len() {
            let (mut socket, mut peer) = with_peer(&config(&rt)).await;
            peer.send_bytes(&bytes[..cut]).await;
            assert!(socket.next().now_or_never().is_none());
            let (sender, mut receiver) = socket.split();
            peer.send_bytes(&bytes[cut..]).await;
            assert_eq!(received(&mut receiver).await, Message::text("größer"));

            peer.send_bytes(&bytes[..cut]).await;
            assert!(receiver.next().now_or_never().is_none());
            let mut socket = sender.reunite(receiver).unwrap();
            peer.send_bytes(&bytes[cut..]).await;
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("größer"));
        }
    }

    async fn the_reason_of_the_peers_close_survives_a_split(rt) {
        let (socket, mut peer) = with_peer(&config(&rt)).await;
        peer.send(Frame::text("last")).await;
        peer.send(Frame::close(4000, "why")).await;
        let (sender, receiver) = socket.split();
        let (mut sender, mut receiver) = sender.reunite(receiver).unwrap().split();
        assert_eq!(received(&mut receiver).await, Message::text("last"));
        let reason = CloseFrame { code: CloseCode::from(4000), reason: "why".into() };
        assert_eq!(received(&mut receiver).await, Message::Close(Some(reason)));
        assert_ended(&mut receiver).await;
        assert_closed(&mut sender).await;
    }

    async fn the_receiver_answers_pings_while_the_sender_does_nothing(rt) {
        let (_sender, mut receiver, mut peer) = halves(&config(&rt)).await;
        let reader = spawn(&rt, async move {
            received(&mut receiver).await;
            receiver.next().await
        });
        peer.send(Frame::new(PING, "hey")).await;
        assert_eq!(peer.frame().await, Some(Frame::new(PONG, "hey")));
        peer.send(Frame::text("thanks")).await;
        assert_eq!(reader.await.unwrap().unwrap().unwrap(), Message::text("thanks"));
    }

    async fn the_receiver_reads_and_answers_while_the_sender_waits_for_room(rt) {
        let (mut sender, mut receiver, mut peer) = narrow(&rt).await;
        let fed = sender.feed(Message::binary(vec![7; 1000])).await;
        fed.unwrap();
        let flushed = spawn(&rt, async move { sender.flush().await });
        peer.send(Frame::new(PING, "hey")).await;
        assert_eq!(received(&mut receiver).await, Message::Ping("hey".into()));
        let reader = spawn(&rt, async move { received(&mut receiver).await });
        assert_eq!(peer.frame().await, Some(Frame::new(BINARY, vec![7; 1000])));
        assert_eq!(peer.frame().await, Some(Frame::new(PONG, "hey")));
        flushed.await.unwrap().unwrap();
        peer.send(Frame::text("both are fine")).await;
        assert_eq!(reader.await.unwrap(), Message::text("both are fine"));
    }

    async fn next_of_the_receiver_writes_what_the_sender_has_fed(rt) {
        let (mut sender, mut receiver, mut peer) = halves(&config(&rt)).await;
        sender.feed("fed".into()).await.unwrap();
        assert!(receiver.next().now_or_never().is_none());
        assert_eq!(peer.frame().now_or_never(), Some(Some(Frame::text("fed"))));
    }

    async fn a_send_that_needs_no_help_wakes_no_receiver(rt) {
        let (mut sender, mut receiver, mut peer) = halves(&config(&rt)).await;
        let (waker, woken) = waker();
        assert!(poll_with(&waker, pin!(receiver.next())).is_pending());
        sender.send("sent".into()).await.unwrap();
        assert_eq!(peer.frame().await, Some(Frame::text("sent")));
        assert!(!woken.take());
        sender.feed("fed".into()).await.unwrap();
        assert!(woken.take(), "who waits writes what is fed");
    }

    async fn the_halves_are_a_sink_and_a_stream(rt) {
        let (mut sender, receiver, mut peer) = halves(&config(&rt)).await;
        let messages = stream::iter(["one", "two"]).map(|text| Ok(text.into()));
        messages.forward(&mut sender).await.unwrap();
        for frame in [Frame::text("one"), Frame::text("two"), Frame::close(1000, "")] {
            assert_eq!(peer.frame().now_or_never(), Some(Some(frame)));
        }
        assert_closed(&mut sender).await;
        SinkExt::close(&mut sender).await.unwrap();
        peer.send(Frame::text("on its way")).await;
        peer.send(Frame::close(1000, "")).await;
        let items: Vec<_> = receiver.map(Result::unwrap).collect().await;
        assert_eq!(items, [Message::text("on its way"), Message::Close(Some(normal()))]);
    }

    async fn what_the_peer_sends_before_its_close_is_left_to_a_receiver_that_lives(rt) {
        const COUNT: usize = 1000;
        for is_waiting in [false, true] {
            let (mut sender, mut receiver, mut peer) = halves(&config(&rt)).await;
            let receive = async move {
                let mut items = Vec::new();
                while let Some(item) = receiver.next().await {
                    items.push(item.unwrap());
                }
                items
            };
            let close = async move { sender.close(normal()).await };
            let (closing, receiving) = if is_waiting {
                let receiving = spawn(&rt, receive);
                yield_to_tasks(&rt).await;
                (spawn(&rt, close), receiving)
            } else {
                let closing = spawn(&rt, close);
                yield_to_tasks(&rt).await;
                (closing, spawn(&rt, receive))
            };
            yield_to_tasks(&rt).await;
            for number in 0..COUNT {
                peer.send(Frame::text(&number.to_string())).await;
                if number % 100 == 0 {
                    yield_to_tasks(&rt).await;
                }
            }
            peer.see_off().await;
            closing.await.unwrap().unwrap();
            let mut items = receiving.await.unwrap();
            assert_eq!(items.pop(), Some(Message::Close(Some(normal()))));
            let texts = (0..COUNT).map(|number| Message::text(number.to_string()));
            assert!(items.into_iter().eq(texts), "is_waiting: {is_waiting}");
        }
    }

    async fn the_sender_closes_once_its_receiver_is_gone(rt) {
        for is_closing in [false, true] {
            let (mut sender, receiver, mut peer) = halves(&config(&rt)).await;
            // It is discarded.
            peer.send(Frame::text("on its way")).await;
            if !is_closing {
                drop(receiver);
                let (closed, (_, close)) = join(sender.close(normal()), peer.see_off()).await;
                closed.unwrap();
                assert_eq!(close, Frame::close(1000, ""));
                continue;
            }
            let closing = spawn(&rt, async move { sender.close(normal()).await });
            yield_to_tasks(&rt).await;
            drop(receiver);
            let (_, close) = peer.see_off().await;
            assert_eq!(close, Frame::close(1000, ""));
            closing.await.unwrap().unwrap();
        }
    }

    async fn a_sender_that_closes_beside_a_receiver_that_does_not_receive_runs_out_of_time(rt) {
        let config = support::config(&rt).set_close_timeout(Duration::from_millis(50));
        let (mut sender, mut receiver, mut peer) = halves(&config).await;
        peer.send(Frame::text("on its way")).await;
        peer.send(Frame::close(1000, "")).await;
        let closed = sender.close(None).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
        assert_closed(&mut sender).await;
        assert_ended(&mut receiver).await;
    }

    async fn the_sender_closes_while_the_receiver_waits(rt) {
        let (mut sender, mut receiver, mut peer) = halves(&config(&rt)).await;
        let reader = spawn(&rt, async move { assert_close(&mut receiver).await });
        yield_to_tasks(&rt).await;
        let (closed, _) = join(sender.close(normal()), peer.see_off()).await;
        closed.unwrap();
        reader.await.unwrap();
    }

    async fn a_receiver_that_waits_hears_that_the_sender_has_given_up(rt) {
        let config = support::config(&rt).set_close_timeout(Duration::from_millis(50));
        let (mut sender, mut receiver, _peer) = halves(&config).await;
        let reader = spawn(&rt, async move { assert_ended(&mut receiver).await });
        yield_to_tasks(&rt).await;
        let closed = sender.close(None).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
        reader.await.unwrap();
    }

    async fn a_sender_that_closes_hears_what_the_receiver_has_read(rt) {
        let (mut sender, mut receiver, mut peer) = halves(&config(&rt)).await;
        let closing = spawn(&rt, async move { sender.close(None).await });
        assert!(peer.frame().await.is_some());
        let reader = spawn(&rt, async move {
            while receiver.next().await.is_some() {}
        });
        yield_to_tasks(&rt).await;
        peer.send(Frame::close(1000, "")).await;
        reader.await.unwrap();
        assert_eq!(peer.frame().await, None);
        peer.finish().await;
        closing.await.unwrap().unwrap();
    }

    async fn after_a_close_is_received_nothing_can_be_sent(rt) {
        let (mut sender, mut receiver, mut peer) = halves(&config(&rt)).await;
        peer.send(Frame::close(1000, "")).await;
        assert_close(&mut receiver).await;
        assert_closed(&mut sender).await;
        peer.finish().await;
        sender.close(None).await.unwrap();
        assert_eq!(peer.frame().await, Some(Frame::close(1000, "")));
        assert_eq!(peer.frame().await, None);
    }

    async fn after_an_error_nothing_can_be_sent(rt) {
        let (mut sender, mut receiver, mut peer) = halves(&config(&rt)).await;
        peer.send(Frame::new(CONTINUATION, "wrong")).await;
        let item = receiver.next().await;
        assert!(matches!(item, Some(Err(Error::Protocol(_)))), "{item:?}");
        assert_ended(&mut receiver).await;
        assert_closed(&mut sender).await;
        assert_eq!(peer.frame().await.expect("a Close comes").code(), 1002);
    }

    async fn a_sender_that_waits_for_room_hears_of_the_end(rt) {
        for end in [Some(Frame::close(1000, "")), Some(Frame::new(CONTINUATION, "wrong")), None] {
            let (mut sender, mut receiver, mut peer) = narrow(&rt).await;
            sender.feed(Message::binary(vec![7; 1000])).await.unwrap();
            let sending = spawn(&rt, async move { sender.send("no room".into()).await });
            yield_to_tasks(&rt).await;
            match end {
                Some(frame) => peer.send(frame).await,
                None => peer.finish().await,
            }
            assert!(receiver.next().await.is_some());
            let sent = sending.await.unwrap();
            assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
        }
    }

    async fn without_its_sender_the_receiver_works_on(rt) {
        let (mut sender, mut receiver, mut peer) = halves(&config(&rt)).await;
        sender.feed("buffered".into()).await.unwrap();
        drop(sender);
        peer.send(Frame::new(PING, "still there?")).await;
        assert_eq!(received(&mut receiver).await, Message::Ping("still there?".into()));
        assert!(receiver.next().now_or_never().is_none());
        assert_eq!(peer.frame().await, Some(Frame::text("buffered")));
        // It is no Close.
        assert_eq!(peer.frame().await, Some(Frame::new(PONG, "still there?")));
        peer.send(Frame::close(1000, "")).await;
        assert_close(&mut receiver).await;
        assert_eq!(peer.frame().await, Some(Frame::close(1000, "")));
    }

    async fn without_its_receiver_the_sender_works_on(rt) {
        let (mut sender, receiver, mut peer) = halves(&config(&rt)).await;
        drop(receiver);
        sender.send("still here".into()).await.unwrap();
        assert_eq!(peer.frame().await, Some(Frame::text("still here")));
        let (closed, (frames, _)) = join(sender.close(None), peer.see_off()).await;
        closed.unwrap();
        assert_eq!(frames, []);
    }

    async fn dropping_both_halves_closes(rt) {
        for sender_first in [false, true] {
            let (near, far) = duplex();
            let (far, script) = Scripted::new(far);
            let (mut sender, receiver) = server(far, &config(&rt)).await.split();
            let mut peer = Peer::new(near);
            sender.feed("buffered".into()).await.unwrap();
            if sender_first {
                drop(sender);
                assert!(peer.frame().now_or_never().is_none());
                drop(receiver);
            } else {
                drop(receiver);
                assert!(peer.frame().now_or_never().is_none());
                drop(sender);
            }
            let (frames, close) = peer.see_off().await;
            assert_eq!((frames, close), (vec![Frame::text("buffered")], Frame::close(1000, "")));
            script.dropped().await;
            let events = script.events();
            assert!(events.ends_with(&[Event::Close, Event::End, Event::Drop]), "{events:?}");
        }
    }

    async fn what_is_buffered_and_the_answer_are_written_though_the_sender_idles(rt) {
        for tells_end in [false, true] {
            let (near, far) = duplex_with_capacity(100);
            let (far, script) = Scripted::new(far);
            let (mut sender, mut receiver) = server(far, &config(&rt)).await.split();
            let mut peer = Peer::new(near);
            sender.feed(Message::binary(vec![7; 1000])).await.unwrap();
            peer.send(Frame::close(1000, "")).await;
            assert_eq!(received(&mut receiver).await, Message::Close(Some(normal())));
            if tells_end {
                assert_ended(&mut receiver).await;
            }
            drop(receiver);
            let rest = async {
                assert_eq!(peer.frame().await, Some(Frame::new(BINARY, vec![7; 1000])));
                assert_eq!(peer.frame().await, Some(Frame::close(1000, "")));
                assert_eq!(peer.frame().await, None);
                peer.finish().await;
                script.dropped().await;
            };
            soon(&rt, rest).await;
            assert_closed(&mut sender).await;
            sender.close(None).await.unwrap();
        }
    }

    async fn after_an_end_without_a_close_the_stream_is_dropped_though_the_sender_idles(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let (mut sender, mut receiver) = server(far, &config(&rt)).await.split();
        let mut peer = Peer::new(near);
        sender.feed("buffered".into()).await.unwrap();
        peer.finish().await;
        let item = receiver.next().await;
        assert!(matches!(item, Some(Err(Error::ClosedWithoutHandshake))), "{item:?}");
        assert_ended(&mut receiver).await;
        assert!(!script.is_dropped());
        drop(receiver);
        let rest = async {
            assert_eq!(peer.frame().await, Some(Frame::text("buffered")));
            assert_eq!(peer.frame().await, None);
            script.dropped().await;
        };
        soon(&rt, rest).await;
        assert_closed(&mut sender).await;
        sender.close(None).await.unwrap();
    }

    async fn a_sender_that_waits_is_told_of_a_write_that_failed_under_the_receiver(rt) {
        for (call, begin) in SENDING {
            let (_near, far) = duplex_with_capacity(16);
            let (far, script) = Scripted::new(far);
            let (mut sender, mut receiver) = server(far, &config(&rt)).await.split();
            sender.feed("more than the stream holds".into()).await.unwrap();
            let mut sending = begin(&mut sender);
            assert!(poll!(&mut sending).is_pending(), "{call}");
            script.fail_writes(ErrorKind::ConnectionReset);
            assert_reset(&receiver.next().await.unwrap().map(drop), "next");
            assert_reset(&soon(&rt, sending).await, call);
            // It is told once.
            assert_closed(&mut sender).await;
            assert_ended(&mut receiver).await;
        }
    }

    async fn the_next_call_of_a_sender_tells_of_a_write_that_failed_under_the_receiver(rt) {
        for (call, begin) in SENDING {
            let (_near, far) = duplex();
            let (far, script) = Scripted::new(far);
            let (mut sender, mut receiver) = server(far, &config(&rt)).await.split();
            sender.feed("lost".into()).await.unwrap();
            script.fail_writes(ErrorKind::ConnectionReset);
            assert_reset(&receiver.next().await.unwrap().map(drop), "next");
            assert_reset(&soon(&rt, begin(&mut sender)).await, call);
            assert_closed(&mut sender).await;
            assert_ended(&mut receiver).await;
        }
    }

    async fn close_of_the_sender_returns_the_error_of_a_write_that_failed_under_the_receiver(rt) {
        let config = support::config(&rt).set_close_timeout(Duration::from_millis(50));
        for is_waiting in [false, true] {
            let (_near, far) = duplex_with_capacity(16);
            let (far, script) = Scripted::new(far);
            let (mut sender, mut receiver) = server(far, &config).await.split();
            sender.feed("more than the stream holds".into()).await.unwrap();
            let mut closing = pin!(sender.close(None));
            if is_waiting {
                assert!(poll!(&mut closing).is_pending());
            }
            script.fail_writes(ErrorKind::ConnectionReset);
            assert_reset(&receiver.next().await.unwrap().map(drop), "next");
            assert_reset(&closing.await, "close");
            assert_ended(&mut receiver).await;
        }
    }

    async fn a_half_holds_no_waker_once_its_wait_is_over(rt) {
        let (_sender, mut receiver, mut peer) = halves(&config(&rt)).await;
        let (waker_of_next, next) = waker();
        assert!(poll_with(&waker_of_next, pin!(receiver.next())).is_pending());
        peer.send(Frame::text("there")).await;
        assert!(poll_with(&waker_of_next, pin!(receiver.next())).is_ready());
        drop(waker_of_next);
        assert_eq!(Arc::strong_count(&next), 1);

        let (stream, room) = Narrow::new(usize::MAX);
        let (mut sender, _receiver) = server(stream, &config(&rt)).await.split();
        sender.feed("no room".into()).await.unwrap();
        let (waker_of_flush, flush) = waker();
        assert!(poll_with(&waker_of_flush, pin!(sender.flush())).is_pending());
        room.give(1000);
        assert!(poll_with(&waker_of_flush, pin!(sender.flush())).is_ready());
        drop(waker_of_flush);
        assert_eq!(Arc::strong_count(&flush), 1);
    }

    async fn a_half_that_was_dropped_while_it_waits_holds_no_waker(rt) {
        let (stream, _room) = Narrow::new(usize::MAX);
        let (mut sender, _receiver) = server(stream, &config(&rt)).await.split();
        sender.feed("no room".into()).await.unwrap();
        let (waker_of_flush, flush) = waker();
        assert!(poll_with(&waker_of_flush, pin!(sender.flush())).is_pending());
        drop((waker_of_flush, sender));
        assert_eq!(Arc::strong_count(&flush), 1);

        let (_sender, mut receiver, _peer) = halves(&config(&rt)).await;
        let (waker_of_next, next) = waker();
        assert!(poll_with(&waker_of_next, pin!(receiver.next())).is_pending());
        drop((waker_of_next, receiver));
        assert_eq!(Arc::strong_count(&next), 1);
    }
}

/// A waker that owns a half, as one does whose executor keeps its task nowhere else.
#[derive(Default)]
struct Owner(Mutex<Option<ReceiveHalf>>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

/// Runs `polls` on a thread, which has to come to its end: it must not wait for its own lock.
fn ends(polls: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        polls();
        done.send(()).unwrap();
    });
    let ended = is_done.recv_timeout(Duration::from_secs(10));
    assert_ne!(
        ended,
        Err(mpsc::RecvTimeoutError::Timeout),
        "the thread waits for itself"
    );
    thread.join().unwrap();
}

/// The sending half of a socket whose receiving half belongs to a waker that nobody else owns: it
/// has waited for a message, as a half or as the whole socket, and now waits for something else.
fn sender_beside_owner(waits_before_split: bool) -> (WebSocket, SendHalf) {
    let (client, mut server) = testing::pair();
    let owner = Arc::new(Owner::default());
    let waker = Waker::from(Arc::clone(&owner));
    if waits_before_split {
        assert!(poll_with(&waker, pin!(server.next())).is_pending());
    }
    let (sender, mut receiver) = server.split();
    if !waits_before_split {
        assert!(poll_with(&waker, pin!(receiver.next())).is_pending());
    }
    *owner.0.lock().unwrap() = Some(receiver);
    (client, sender)
}

#[test]
fn a_waker_that_owns_the_other_half_may_be_dropped_as_it_is_woken() {
    for waits_before_split in [false, true] {
        ends(move || {
            let (_client, mut sender) = sender_beside_owner(waits_before_split);
            // More than a turn: the sender wakes its own task, and with it the other one.
            let sent = (0..1000).take_while(|_| sender.send("x".into()).now_or_never().is_some());
            assert!(sent.count() < 1000, "no turn has ended");
        });
    }
}

/// A waker that uses a half at once, as one does whose executor polls in `wake`.
struct User(Mutex<Option<ReceiveHalf>>);

impl Wake for User {
    fn wake(self: Arc<Self>) {
        let half = self.0.lock().unwrap();
        assert!(half.as_ref().unwrap().close_frame().is_none());
    }
}

#[test]
fn a_waker_may_use_the_other_half_as_it_is_woken() {
    ends(|| {
        let (_client, server) = testing::pair();
        let (mut sender, mut receiver) = server.split();
        let user = Arc::new(User(Mutex::new(None)));
        let waker = Waker::from(Arc::clone(&user));
        assert!(poll_with(&waker, pin!(receiver.next())).is_pending());
        *user.0.lock().unwrap() = Some(receiver);
        // At the end of a turn the sender wakes its own task, and with it the other one.
        let sent = (0..1000).take_while(|_| sender.send("x".into()).now_or_never().is_some());
        assert!(sent.count() < 1000, "no turn has ended");
        // The half and its waker own each other.
        drop(user.0.lock().unwrap().take());
    });
}

#[test]
fn a_waker_that_owns_the_other_half_may_be_dropped_by_abort() {
    for waits_before_split in [false, true] {
        ends(move || sender_beside_owner(waits_before_split).1.abort());
    }
}

#[test]
fn a_waker_that_owns_the_other_half_may_be_dropped_by_the_stream() {
    ends(|| {
        let (_client, mut server) = testing::pair();
        let owner = Arc::new(Owner::default());
        let waker = Waker::from(Arc::clone(&owner));
        let large = Message::binary(vec![0; 300 * 1024]);
        assert!(poll_with(&waker, pin!(server.send(large))).is_pending());
        drop(waker);
        let (mut sender, receiver) = server.split();
        *owner.0.lock().unwrap() = Some(receiver);
        drop(owner);
        // The stream is full, and replaces the waker that it has.
        assert!(sender.flush().now_or_never().is_none());
        // The receiver is dropped, so this one reads.
        assert!(sender.closed().now_or_never().is_none());
    });
}

#[test]
fn a_waker_of_before_the_split_keeps_no_half() {
    for waits_before_split in [false, true] {
        ends(move || {
            let (mut client, mut sender) = sender_beside_owner(waits_before_split);
            // The stream wakes the receiver's task, which is gone with that: the sender reads.
            assert!(sender.closed().now_or_never().is_none());
            client
                .send("for nobody".into())
                .now_or_never()
                .unwrap()
                .unwrap();
            assert!(sender.closed().now_or_never().is_none());
            client.close(None).now_or_never();
            sender.closed().now_or_never().unwrap().unwrap();
        });
    }
}
