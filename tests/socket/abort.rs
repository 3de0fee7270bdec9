//! Ends that do not wait for the peer: `abort`, `close_within`, and what a Close is made of.

use std::{
    io::ErrorKind,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Wake, Waker},
    time::Duration,
};

use anyws::{
    CloseCode, Error, InvalidMessage, Message, ReceiveHalf, TimeoutPhase, Utf8Bytes,
    WebSocketConfig,
    testing::{duplex, duplex_with_capacity},
};
use futures::{
    FutureExt,
    future::{Either, poll_fn, select},
};
use support::{
    attack::alone,
    config,
    frames::{BINARY, Frame, PING, PONG, Peer, Role},
    owning::Owning,
    runtimes,
    scripted::Scripted,
    sockets::{assert_waits, close, close_frame, now, patient, received},
    still::Still,
    tasks::{Task, poll_with, spawn, yield_to_tasks},
};

/// Long enough to be seen, short enough for a test that is to wait for it.
const SHORT: Duration = Duration::from_millis(50);

runtimes! {
    async fn abort_drops_the_stream_at_once_and_sends_nothing(rt) {
        for role in Role::BOTH {
            let (near, far) = duplex();
            let (far, script) = Scripted::new(far);
            let mut socket = role.socket(far, &patient(&rt));
            let mut peer = Peer::of(role, near);
            socket.feed("buffered".into()).await.unwrap();
            socket.abort();
            assert!(script.is_dropped());
            assert_eq!(now(peer.frame()), None, "neither a message nor a Close");

            assert!(now(socket.next()).is_none());
            let sent = now(socket.send("late".into()));
            assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
            now(socket.closed()).unwrap();
            now(socket.flush()).unwrap();
            now(socket.close(None)).unwrap();
            socket.abort();
        }
    }

    async fn abort_returns_a_close_that_has_arrived(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        peer.send(Frame::close(4000, "bye")).await;
        now(socket.closed()).unwrap();
        socket.abort();
        assert_eq!(socket.close_frame(), Some(close_frame(4000, "bye")));
        assert_eq!(now(socket.next()).unwrap().unwrap(), close(4000, "bye"));
        assert!(now(socket.next()).is_none());
    }

    async fn abort_cuts_messages_in_their_middle(rt) {
        let (near, far) = duplex_with_capacity(1000);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        let mut peer = Peer::new(near);
        let half = &Frame::new(BINARY, [7; 1000]).masked()[..500];
        peer.send_bytes(half).await;
        assert_waits(&mut socket);
        assert!(socket.send(Message::binary(vec![1; 5000])).now_or_never().is_none());
        socket.abort();
        assert!(now(socket.next()).is_none());
        // That message was accepted, but whoever aborts knows that it is lost.
        now(socket.flush()).unwrap();
        let sent = now(socket.send("late".into()));
        assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
    }

    async fn nothing_is_told_after_abort_of_a_write_that_had_failed(rt) {
        let (near, far) = duplex_with_capacity(1 << 20);
        let (far, script) = Scripted::new(far);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        let mut peer = Peer::new(near);
        // More pongs than are buffered: they are written while pings are read.
        peer.send_bytes(&Frame::new(PING, [7; 125]).masked().repeat(100)).await;
        script.fail_writes(ErrorKind::BrokenPipe);
        socket.feed("lost".into()).await.unwrap();
        for _ in 0..50 {
            assert!(received(&mut socket).is_ping());
        }
        socket.abort();
        let sent = now(socket.send("late".into()));
        assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
        now(socket.closed()).unwrap();
    }

    async fn abort_ends_a_close_that_was_begun(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        assert!(socket.close(None).now_or_never().is_none(), "the peer is mute");
        socket.abort();
        assert!(script.is_dropped());
        now(socket.close(None)).unwrap();
        drop(near);
    }

    async fn abort_ends_a_close_that_could_not_be_written(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        script.fail_writes(ErrorKind::BrokenPipe);
        assert!(socket.close(None).now_or_never().is_none(), "the peer is mute");
        socket.abort();
        now(socket.close(None)).unwrap();
        drop(near);
    }

    async fn a_sender_that_aborts_ends_the_receiver(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let (mut sender, mut receiver) = Role::Server.socket(far, &patient(&rt)).split();
        let receiving = spawn(&rt, async move { (receiver.next().await, receiver) });
        yield_to_tasks(&rt).await;
        sender.abort();
        let (item, _receiver) = receiving.await.unwrap();
        assert!(item.is_none(), "{item:?}");
        assert!(script.is_dropped());
        let sent = sender.send("late".into()).await;
        assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
        drop(near);
    }

    async fn a_receiver_that_aborts_ends_a_sender_that_waits(rt) {
        let (near, far) = duplex_with_capacity(64);
        let (mut sender, mut receiver) = Role::Server.socket(far, &patient(&rt)).split();
        let mut sent = None;
        let mut sending = Task::new(async {
            sent = Some(sender.send(Message::binary(vec![1; 5000])).await);
        });
        assert!(sending.run());
        receiver.abort();
        assert!(now(receiver.next()).is_none());
        assert!(sending.run(), "it was woken");
        drop(sending);
        let Some(Err(error)) = sent else { panic!("the message is lost") };
        assert!(error.is_disconnect(), "{error:?}");
        assert!(format!("{error:#}").contains("aborted"), "{error:#}");
        let sent = sender.send("late".into()).await;
        assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
        drop(near);
    }

    async fn a_sender_that_closes_is_told_that_its_receiver_has_aborted(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (mut sender, mut receiver) = socket.split();
        let closing = spawn(&rt, async move { (sender.close(None).await, sender) });
        assert_eq!(peer.frame().await.unwrap().payload, []);
        receiver.abort();
        let (closed, mut sender) = closing.await.unwrap();
        assert!(matches!(closed, Err(Error::Io(_))), "{closed:?}");
        now(sender.close(None)).unwrap();

        // There is nothing to tell once the peer has closed.
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (mut sender, mut receiver) = socket.split();
        peer.send(Frame::close(1000, "")).await;
        assert_eq!(receiver.next().await.unwrap().unwrap(), close(1000, ""));
        receiver.abort();
        now(sender.close(None)).unwrap();
    }

    async fn a_sender_that_waits_for_the_end_is_woken_by_abort(rt) {
        let (socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let (mut sender, mut receiver) = socket.split();
        let mut waiting = Task::new(async { sender.closed().await.unwrap() });
        assert!(waiting.run());
        receiver.abort();
        assert!(waiting.run(), "it was woken");
        assert!(waiting.is_done());
    }

    async fn a_task_that_waits_behind_a_lock_is_woken_by_abort(rt) {
        for is_receiving in [true, false] {
            let (socket, _peer) = Role::Server.with_peer(&patient(&rt));
            let socket = Mutex::new(socket);
            let mut waiting = Task::new(poll_fn(|cx| {
                let mut socket = socket.lock().unwrap();
                if is_receiving {
                    Pin::new(&mut socket.next()).poll(cx).map(|item| assert!(item.is_none()))
                } else {
                    Pin::new(&mut socket.closed()).poll(cx).map(Result::unwrap)
                }
            }));
            assert!(waiting.run());
            socket.lock().unwrap().abort();
            assert!(waiting.run(), "it was woken");
            assert!(waiting.is_done());
        }
    }

    async fn a_task_that_sends_behind_a_lock_is_woken_by_abort(rt) {
        let (near, far) = duplex_with_capacity(64);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        socket.feed(Message::binary(vec![1; 5000])).await.unwrap();
        let socket = Mutex::new(socket);
        let mut flushing = Task::new(async {
            let flush = poll_fn(|cx| Pin::new(&mut socket.lock().unwrap().flush()).poll(cx));
            flush.await.unwrap();
        });
        assert!(flushing.run());
        socket.lock().unwrap().abort();
        assert!(flushing.run(), "it was woken");
        assert!(flushing.is_done());
        drop(near);
    }

    async fn close_within_gives_up_on_a_mute_peer_in_its_own_time(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        let mut peer = Peer::new(near);
        let close = socket.close_within((CloseCode::Away, "restart"), SHORT);
        let limit = rt.sleep_until(rt.now() + Duration::from_secs(10));
        let Either::Left((closed, _)) = select(close, limit).await else {
            panic!("it waits for the close timeout of the settings");
        };
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
        assert!(closed.unwrap_err().is_disconnect());
        assert!(script.is_dropped());
        assert_eq!(peer.frame().await, Some(Frame::close(1001, "restart")));
    }

    async fn close_within_no_time_writes_what_the_stream_takes(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        socket.feed("buffered".into()).await.unwrap();
        let closed = socket.close_within(None, Duration::ZERO).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
        assert_eq!(peer.frame().await, Some(Frame::text("buffered")));
        assert_eq!(peer.frame().await.unwrap().payload, []);
    }

    async fn close_within_is_as_close_where_the_peer_answers(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&config(&rt).set_close_timeout(SHORT));
        let closing = spawn(&rt, async move {
            socket.close_within((4001, "x"), Duration::from_secs(3600)).await
        });
        let (_, close) = peer.see_off().await;
        assert_eq!(close, Frame::close(4001, "x"));
        closing.await.unwrap().unwrap();
    }

    async fn close_within_of_a_half_gives_up_too(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (mut sender, receiver) = socket.split();
        let closed = sender.close_within((1001, ""), SHORT).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
        assert_eq!(peer.frame().await.unwrap().code(), 1001);
        drop(receiver);
    }

    async fn a_close_is_made_of_a_code_and_a_reason(rt) {
        let frames = [
            (1001, "restart"), (4000, "é"), (1000, ""), (4999, "owned"), (3000, "shared"),
        ];
        for (number, (code, reason)) in frames.into_iter().enumerate() {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let closing = spawn(&rt, async move {
                match number {
                    0 => socket.close((CloseCode::Away, "restart")).await,
                    1 => socket.close((4000, "é")).await,
                    2 => socket.close(close_frame(1000, "")).await,
                    3 => socket.close((4999, String::from("owned"))).await,
                    _ => socket.close(Some(close_frame(3000, "shared"))).await,
                }
            });
            let (_, close) = peer.see_off().await;
            assert_eq!(close, Frame::close(code, reason));
            closing.await.unwrap().unwrap();
        }
    }

    async fn a_close_that_may_not_be_sent_leaves_the_socket_open(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let closed = socket.close((CloseCode::Abnormal, "")).await;
        let invalid = InvalidMessage::CloseCode(1006);
        assert!(matches!(closed, Err(Error::InvalidMessage(is)) if is == invalid));
        let long = Utf8Bytes::from("é".repeat(62));
        let closed = socket.close_within((1000, long), SHORT).await;
        let invalid = InvalidMessage::CloseReasonTooLong(124);
        assert!(matches!(closed, Err(Error::InvalidMessage(is)) if is == invalid));
        peer.send(Frame::new(PING, "")).await;
        assert!(received(&mut socket).is_ping());
        now(socket.flush()).unwrap();
        assert_eq!(now(peer.frame()), Some(Frame::new(PONG, "")));
    }
}

/// A socket that was aborted has nothing left for a task.
#[test]
fn an_aborted_socket_spawns_nothing() {
    let runtime = Still::keeping();
    let (_near, far) = duplex();
    let mut socket = Role::Server.socket(far, &runtime.config());
    socket.abort();
    drop(socket);
    let (_near, far) = duplex();
    let (mut sender, receiver) = Role::Server.socket(far, &runtime.config()).split();
    sender.abort();
    drop((receiver, sender));
    assert!(runtime.tasks().is_empty());
}

/// Nobody could keep the time.
#[test]
fn close_within_without_timers_is_an_error_and_sends_nothing() {
    let (mut socket, mut peer) = Role::Server.with_peer(&alone());
    let closed = now(socket.close_within(None, SHORT));
    assert!(matches!(closed, Err(Error::NoRuntime)), "{closed:?}");
    assert!(peer.frame().now_or_never().is_none());
    now(socket.send("still open".into())).unwrap();
    assert_eq!(now(peer.frame()), Some(Frame::text("still open")));
}

/// The lock of the halves is not held while the stream is dropped.
#[test]
fn an_aborted_half_drops_a_stream_that_owns_the_other_half() {
    let (near, far) = duplex();
    let owned = Arc::new(Mutex::new(None));
    let far = Owning(far, Arc::clone(&owned));
    let (mut sender, receiver) = Role::Server.socket(far, &WebSocketConfig::new()).split();
    *owned.lock().unwrap() = Some(receiver);
    let left = Arc::downgrade(&owned);
    drop(owned);
    support::bounded(move || sender.abort());
    assert!(left.upgrade().is_none());
    drop(near);
}

/// A task that only its wakers keep, and whose executor is gone: it is dropped when it is woken.
struct Orphan(Mutex<Option<ReceiveHalf>>);

impl Wake for Orphan {
    fn wake(self: Arc<Self>) {}
}

/// Nor is it while the other half is woken.
#[test]
fn an_aborted_half_wakes_a_task_that_drops_the_other_half() {
    let (near, far) = duplex();
    let (mut sender, receiver) = Role::Server.socket(far, &WebSocketConfig::new()).split();
    let orphan = Arc::new(Orphan(Mutex::new(Some(receiver))));
    let left = Arc::downgrade(&orphan);
    let waker = Waker::from(Arc::clone(&orphan));
    let mut receiver = orphan.0.lock().unwrap();
    let next = receiver.as_mut().unwrap().next();
    assert!(poll_with(&waker, pin!(next)).is_pending());
    drop(receiver);
    drop((waker, orphan));
    assert!(left.upgrade().is_some(), "the socket keeps it");
    support::bounded(move || sender.abort());
    assert!(left.upgrade().is_none());
    drop(near);
}
