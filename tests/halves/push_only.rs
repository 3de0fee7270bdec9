//! Handlers that only send: the peer's pings and its Close are answered all the same.

use std::{
    io::ErrorKind,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyws::{
    Error, Message, ProtocolError, ReceiveHalf, SendHalf, WebSocket,
    testing::{duplex, duplex_with_capacity},
};
use futures::{
    FutureExt, Sink, SinkExt, StreamExt,
    channel::mpsc,
    future::{join, poll_fn},
    select,
};
use support::{
    config,
    frames::{BINARY, CLOSE, Frame, PING, PONG, Peer, Role, TEXT},
    runtimes,
    scripted::Scripted,
    sockets::{close, close_frame, now, patient, with_limits},
    tasks::{Task, poll_with, spawn, waker, yield_to_tasks},
};

/// Drops the receiving half of a socket.
fn sender(socket: WebSocket) -> SendHalf {
    socket.split().0
}

runtimes! {
    async fn closed_answers_pings_discards_data_and_answers_the_close(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            let talk = async {
                peer.send(Frame::new(PING, "1")).await;
                assert_eq!(peer.frame().await, Some(Frame::new(PONG, "1")));
                peer.send(Frame::text("a").unfinished()).await;
                peer.send(Frame::new(PING, "2")).await;
                peer.send(Frame::new(0, "b")).await;
                peer.send(Frame::new(BINARY, vec![7; 100_000])).await;
                assert_eq!(peer.frame().await, Some(Frame::new(PONG, "2")));
                peer.send(Frame::close(4001, "bye")).await;
                assert_eq!(peer.frame().await, Some(Frame::close(4001, "bye")));
            };
            let (closed, ()) = join(socket.closed(), talk).await;
            closed.unwrap();
            assert_eq!(socket.close_frame(), Some(close_frame(4001, "bye")));
            let sent = socket.send("late".into()).await;
            assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
            now(socket.closed()).unwrap();
            // The Close was discarded by nobody.
            assert_eq!(socket.next().await.unwrap().unwrap(), close(4001, "bye"));
            assert!(socket.next().await.is_none());
        }
    }

    async fn closed_writes_what_is_buffered(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        socket.feed("buffered".into()).await.unwrap();
        assert!(socket.closed().now_or_never().is_none());
        assert_eq!(now(peer.frame()), Some(Frame::text("buffered")));
    }

    async fn closed_is_ready_once_our_own_close_was_sent(rt) {
        let (mut socket, peer) = Role::Server.with_peer(&patient(&rt));
        socket.send(close(1000, "")).await.unwrap();
        now(socket.closed()).unwrap();
        drop(peer);
    }

    async fn closed_returns_what_ended_the_connection_once(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        peer.finish().await;
        let closed = socket.closed().await;
        assert!(matches!(closed, Err(Error::ClosedWithoutHandshake)), "{closed:?}");
        now(socket.closed()).unwrap();
        assert!(socket.next().await.is_none());

        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        peer.send(Frame::text("x").with_bits(0x40)).await;
        let closed = socket.closed().await;
        assert!(matches!(closed, Err(Error::Protocol(ProtocolError::ReservedBits))), "{closed:?}");
        assert_eq!(peer.frame().await.unwrap().code(), 1002);
        now(socket.closed()).unwrap();

        let (_near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        script.fail_writes(ErrorKind::BrokenPipe);
        socket.feed("lost".into()).await.unwrap();
        let closed = socket.closed().await;
        assert!(matches!(closed, Err(Error::Io(_))), "{closed:?}");
        now(socket.closed()).unwrap();
    }

    async fn closed_reads_on_under_a_write_that_waits(rt) {
        // The peer reads only once it has sent: without a reader both would wait.
        let (near, far) = duplex_with_capacity(1000);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        let mut peer = Peer::new(near);
        socket.feed(Message::binary(vec![1; 100_000])).await.unwrap();
        let talk = async {
            peer.send(Frame::new(BINARY, vec![2; 100_000])).await;
            assert_eq!(peer.frame().await.unwrap().payload.len(), 100_000);
            peer.send(Frame::close(1000, "")).await;
            assert_eq!(peer.frame().await.unwrap().code(), 1000);
        };
        let (closed, ()) = join(socket.closed(), talk).await;
        closed.unwrap();
    }

    async fn closed_leaves_the_thread_to_others(rt) {
        let (near, far) = duplex_with_capacity(1 << 20);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        let mut peer = Peer::new(near);
        peer.send_bytes(&Frame::text("x").masked().repeat(100_000)).await;
        let (waker, woken) = waker();
        let mut polls = 1;
        while poll_with(&waker, pin!(socket.closed())).is_pending() && woken.take() {
            polls += 1;
        }
        assert!(polls > 100_000 / 256, "{polls} polls");
    }

    async fn a_handler_that_selects_on_closed_ends_with_the_peer(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (mut news, mut lines) = mpsc::channel::<String>(1);
        let handler = spawn(&rt, async move {
            loop {
                select! {
                    closed = socket.closed() => {
                        closed.unwrap();
                        return socket.close(None).await;
                    }
                    line = lines.next() => socket.send(line.unwrap().into()).await.unwrap(),
                }
            }
        });
        news.send("one".to_owned()).await.unwrap();
        assert_eq!(peer.frame().await, Some(Frame::text("one")));
        peer.send(Frame::new(PING, "")).await;
        assert_eq!(peer.frame().await, Some(Frame::new(PONG, "")));
        news.send("two".to_owned()).await.unwrap();
        assert_eq!(peer.frame().await, Some(Frame::text("two")));
        peer.send(Frame::close(1001, "")).await;
        assert_eq!(peer.frame().await.unwrap().code(), 1001);
        assert_eq!(peer.frame().await, None);
        peer.finish().await;
        handler.await.unwrap().unwrap();
    }

    async fn a_sender_without_receiver_answers_as_it_sends(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let mut sender = sender(socket);
        peer.send(Frame::text("discarded")).await;
        peer.send(Frame::new(PING, "1")).await;
        sender.send("one".into()).await.unwrap();
        assert_eq!(now(peer.frame()), Some(Frame::new(PONG, "1")));
        assert_eq!(now(peer.frame()), Some(Frame::text("one")));
        peer.send(Frame::new(PING, "2")).await;
        sender.flush().await.unwrap();
        assert_eq!(now(peer.frame()), Some(Frame::new(PONG, "2")));
        peer.send(Frame::close(4000, "")).await;
        let sent = sender.send("late".into()).await;
        assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
        assert_eq!(now(peer.frame()).unwrap().code(), 4000);
        assert_eq!(sender.close_frame(), Some(close_frame(4000, "")));
    }

    async fn a_sink_without_receiver_answers_as_it_sends(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let mut sender = sender(socket);
        peer.send(Frame::new(PING, "1")).await;
        SinkExt::send(&mut sender, "one".into()).await.unwrap();
        assert_eq!(now(peer.frame()), Some(Frame::new(PONG, "1")));
        assert_eq!(now(peer.frame()), Some(Frame::text("one")));
        peer.send(Frame::new(PING, "2")).await;
        SinkExt::flush(&mut sender).await.unwrap();
        assert_eq!(now(peer.frame()), Some(Frame::new(PONG, "2")));
        peer.send(Frame::close(4000, "")).await;
        let sent = SinkExt::send(&mut sender, "late".into()).await;
        assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
        assert_eq!(now(peer.frame()).unwrap().code(), 4000);

        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let mut sink = super::sender(socket);
        peer.send(Frame::new(PING, "3")).await;
        SinkExt::close(&mut sink).await.unwrap();
        assert_eq!(now(peer.frame()), Some(Frame::new(PONG, "3")));
        assert_eq!(now(peer.frame()), Some(Frame::close(1000, "")));
    }

    async fn a_sender_without_receiver_is_told_what_ended_the_connection(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let mut alone = sender(socket);
        peer.finish().await;
        let sent = alone.send("x".into()).await;
        assert!(matches!(sent, Err(Error::ClosedWithoutHandshake)), "{sent:?}");
        let sent = alone.send("x".into()).await;
        assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");

        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let mut alone = sender(socket);
        peer.send(Frame::new(TEXT, [0xff])).await;
        let fed = alone.feed("x".into()).await;
        assert!(matches!(fed, Err(Error::Protocol(ProtocolError::InvalidUtf8))), "{fed:?}");
        assert_eq!(peer.frame().await.unwrap().code(), 1007);
    }

    async fn pongs_that_cannot_be_written_are_told_once(rt) {
        // More than are buffered: they are written while pings are read.
        let flood = Frame::new(PING, [7; 125]).masked().repeat(100);
        let flooded = || {
            let (near, far) = duplex_with_capacity(1 << 20);
            let (far, script) = Scripted::new(far);
            let socket = Role::Server.socket(far, &patient(&rt));
            script.fail_writes(ErrorKind::BrokenPipe);
            let mut peer = Peer::new(near);
            now(peer.send_bytes(&flood));
            (socket, peer)
        };
        let (mut socket, _peer) = flooded();
        let closed = now(socket.closed());
        assert!(matches!(closed, Err(Error::Io(_))), "{closed:?}");
        now(socket.closed()).unwrap();

        // The sender has lost something, too.
        let (mut socket, _peer) = flooded();
        now(socket.feed("lost".into())).unwrap();
        let closed = now(socket.closed());
        assert!(matches!(closed, Err(Error::Io(_))), "{closed:?}");
        now(socket.closed()).unwrap();

        // Its end has come, too.
        let (mut socket, peer) = flooded();
        drop(peer);
        let closed = now(socket.closed());
        assert!(matches!(closed, Err(Error::ClosedWithoutHandshake)), "{closed:?}");
        now(socket.closed()).unwrap();

        let (socket, _peer) = flooded();
        let mut alone = sender(socket);
        let sent = now(alone.send("x".into()));
        assert!(matches!(sent, Err(Error::Io(_))), "{sent:?}");
        let sent = now(alone.send("x".into()));
        assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
    }

    async fn a_sender_without_receiver_still_feeds_in_batches(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let mut sender = sender(Role::Server.socket(far, &patient(&rt)));
        for _ in 0..10 {
            sender.feed("x".into()).await.unwrap();
        }
        assert!(script.writes().is_empty());
        sender.flush().await.unwrap();
        assert_eq!(script.writes().len(), 1);
        drop(near);
    }

    async fn a_sender_without_receiver_reads_on_while_it_waits_for_room(rt) {
        // Two that send before they read: each waits for the other one to read.
        let (near, far) = duplex_with_capacity(1000);
        let mut sender = sender(Role::Server.socket(far, &patient(&rt)));
        let mut peer = Peer::new(near);
        let talk = async {
            peer.send(Frame::new(BINARY, vec![2; 100_000])).await;
            assert_eq!(peer.frame().await.unwrap().payload.len(), 100_000);
        };
        let (sent, ()) = join(sender.send(Message::binary(vec![1; 100_000])), talk).await;
        sent.unwrap();
    }

    async fn the_half_that_waits_takes_over_from_a_receiver_that_is_dropped(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (mut sender, receiver) = socket.split();
        let waiting = spawn(&rt, async move { (sender.closed().await, sender) });
        yield_to_tasks(&rt).await;
        peer.send(Frame::new(PING, "1")).await;
        yield_to_tasks(&rt).await;
        assert!(peer.frame().now_or_never().is_none(), "it is the receiver's to read");
        drop(receiver);
        assert_eq!(peer.frame().await, Some(Frame::new(PONG, "1")));
        peer.send(Frame::close(1000, "")).await;
        assert_eq!(peer.frame().await.unwrap().code(), 1000);
        let (closed, sender) = waiting.await.unwrap();
        closed.unwrap();
        drop(sender);
    }

    async fn beside_a_receiver_closed_only_waits(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (mut sender, mut receiver) = socket.split();
        sender.feed("buffered".into()).await.unwrap();
        let waiting = spawn(&rt, async move { (sender.closed().await, sender) });
        assert_eq!(peer.frame().await, Some(Frame::text("buffered")));
        peer.send(Frame::text("one")).await;
        yield_to_tasks(&rt).await;
        assert_eq!(now(receiver.next()).unwrap().unwrap(), Message::text("one"));
        peer.send(Frame::close(1000, "")).await;
        assert_eq!(receiver.next().await.unwrap().unwrap(), close(1000, ""));
        let (closed, _sender) = waiting.await.unwrap();
        closed.unwrap();
    }

    async fn beside_a_receiver_closed_is_told_of_what_was_lost(rt) {
        let (_near, far) = duplex_with_capacity(64);
        let (far, script) = Scripted::new(far);
        let socket = Role::Server.socket(far, &patient(&rt));
        let (mut sender, mut receiver) = socket.split();
        script.fail_writes(ErrorKind::BrokenPipe);
        sender.feed("lost".into()).await.unwrap();
        let item = receiver.next().await;
        assert!(matches!(item, Some(Err(Error::Io(_)))), "{item:?}");
        let closed = sender.closed().await;
        assert!(matches!(closed, Err(Error::Io(_))), "{closed:?}");
        now(sender.closed()).unwrap();
    }

    async fn a_dropped_wait_is_taken_up_again(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        for n in 0..100 {
            peer.send(Frame::text("discarded")).await;
            peer.send(Frame::new(PING, [n])).await;
            assert!(socket.closed().now_or_never().is_none());
            assert_eq!(now(peer.frame()), Some(Frame::new(PONG, [n])));
        }
        peer.send(Frame::close(1000, "")).await;
        socket.closed().await.unwrap();
    }

    async fn pings_that_are_not_read_do_not_grow_under_closed(rt) {
        let config = with_limits(&rt, |limits| {
            limits.max_write_buffer_size(8192).write_buffer_size(4096)
        });
        let (near, far) = duplex_with_capacity(4096);
        let mut sender = sender(Role::Server.socket(far, &config));
        let mut peer = Peer::new(near);
        let flood = Frame::new(PING, [7; 125]).masked();
        let flooding = async {
            let mut sent = 0;
            // It stops where the server reads no more.
            while peer.send_bytes(&flood).now_or_never().is_some() {
                sent += 1;
                assert!(sent < 10_000, "the server reads pings without end");
                let _ = sender.flush().now_or_never();
            }
            sent
        };
        assert!(flooding.await > 10);
    }

    async fn a_lock_that_is_held_within_a_poll_wakes_who_waits_for_closed(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let socket = Arc::new(Mutex::new(socket));
        let waiting = Arc::clone(&socket);
        let mut waiting = Task::new(poll_fn(move |cx| {
            let mut socket = waiting.lock().unwrap();
            Pin::new(&mut socket.closed()).poll(cx).map(Result::unwrap)
        }));
        assert!(waiting.run());
        // Another task sends meanwhile, and its poll replaces no waker for good.
        let send = |text: &'static str| {
            let socket = Arc::clone(&socket);
            Task::new(async move {
                let mut message = Some(Message::text(text));
                poll_fn(|cx| {
                    let mut socket = socket.lock().unwrap();
                    let mut sink = Pin::new(&mut *socket);
                    if let Some(message) = message.take() {
                        futures::ready!(sink.as_mut().poll_ready(cx)).unwrap();
                        sink.as_mut().start_send(message).unwrap();
                    }
                    sink.poll_flush(cx)
                })
                .await
                .unwrap();
            })
        };
        let mut sending = send("one");
        assert!(sending.run() && sending.is_done());
        assert_eq!(now(peer.frame()), Some(Frame::text("one")));
        peer.send(Frame::close(1000, "")).await;
        assert!(waiting.run(), "it was woken");
        assert!(waiting.is_done());
    }
}

/// Both orders in which the tasks of two halves may be polled.
#[test]
fn whoever_is_polled_first_both_tasks_see_the_close() {
    for sender_first in [false, true] {
        let (near, far) = duplex();
        let socket = Role::Server.socket(far, &anyws::WebSocketConfig::new());
        let (mut sender, mut receiver): (SendHalf, ReceiveHalf) = socket.split();
        let mut peer = Peer::new(near);
        let mut waiting = Task::new(async { sender.closed().await.unwrap() });
        let mut receiving = Task::new(async { while receiver.next().await.is_some() {} });
        if sender_first {
            waiting.run();
            receiving.run();
        } else {
            receiving.run();
            waiting.run();
        }
        now(peer.send(Frame::new(PING, "")));
        while waiting.run() || receiving.run() {}
        assert_eq!(now(peer.frame()), Some(Frame::new(PONG, "")));
        now(peer.send(Frame::new(CLOSE, "")));
        while waiting.run() || receiving.run() {}
        assert!(waiting.is_done() && receiving.is_done());
    }
}

/// A push that waits between messages, as handlers with a timer do.
#[test]
fn closed_and_a_timer_of_the_users_fit_in_one_select() {
    support::on_threads(|rt| async move {
        let (mut socket, mut peer) = Role::Server.with_peer(&config(&rt));
        let mut tick = pin!(rt.sleep_until(rt.now() + Duration::from_millis(1)).fuse());
        select! {
            _ = socket.closed() => panic!("the peer has not closed"),
            () = tick => socket.send("tick".into()).await.unwrap(),
        }
        assert_eq!(peer.frame().await, Some(Frame::text("tick")));
    });
}
