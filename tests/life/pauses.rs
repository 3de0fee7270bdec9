//! What goes on while a peer is held up, and how that ends.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use anyws::{
    Error, Message, OverRate, Rate, Runtime, TimeoutPhase, WebSocket,
    testing::{self, Duplex},
};
use futures::{AsyncRead, AsyncWrite, FutureExt, future::BoxFuture};
use support::{
    frames::{Frame, PING, Peer, Role},
    runtimes,
    sockets::{assert_waits, now, received},
    still::Still,
    tasks::{poll_with, waker},
    time::Paused,
};

use crate::rates::{AT_ONCE, BYTES, MESSAGES, SECOND, TICK, receive, send, socket};

/// Receives a message that comes within some time.
async fn received_within(time: &Paused, socket: &mut WebSocket, limit: Duration) -> Message {
    for _ in 0..limit.as_millis() / TICK.as_millis() {
        if let Some(message) = socket.next().now_or_never() {
            return message.expect("no end").expect("no error");
        }
        time.advance(TICK).await;
    }
    received(socket)
}

/// A stream that lets the clock tick whenever it is read: a pause may end while a task is polled.
struct Ticking {
    io: Duplex,
    time: Arc<Paused>,
    tasks: Vec<BoxFuture<'static, ()>>,
}

impl Ticking {
    /// Returns a socket on such a stream, and its peer.
    fn socket() -> (WebSocket, Peer) {
        let still = Still::keeping();
        let inner: Arc<dyn Runtime> = Arc::new(still.clone());
        let time = Paused::new(&inner);
        let config = time.config().set_byte_rate(BYTES, OverRate::Pause);
        // Starts the clock.
        let (first, _) = Role::Server.with_peer(&config);
        let (near, far) = testing::duplex();
        let mut io = Self {
            io: far,
            time,
            tasks: still.tasks(),
        };
        io.run();
        let socket = Role::Server.socket(io, &config);
        drop(first);
        (socket, Peer::new(near))
    }

    fn run(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        self.tasks
            .retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
    }
}

impl AsyncRead for Ticking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.time.jump(TICK);
        self.run();
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Ticking {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}

/// What passes at once, and then a hundred bytes.
fn longer_than_a_burst() -> Frame {
    Frame::new(2, vec![0; 692])
}

#[test]
fn a_pause_that_ends_at_once_does_not_put_the_task_to_sleep() {
    let (mut socket, mut peer) = Ticking::socket();
    now(peer.send(longer_than_a_burst()));
    let (waker, woken) = waker();
    assert!(poll_with(&waker, pin!(socket.next())).is_pending());
    assert!(woken.take(), "nothing else wakes it");
    assert!(poll_with(&waker, pin!(socket.next())).is_ready());
}

#[test]
fn a_pause_that_ends_at_once_does_not_end_a_wait_for_the_end() {
    let (mut socket, mut peer) = Ticking::socket();
    now(peer.send(longer_than_a_burst()));
    now(peer.send(Frame::close(1000, "")));
    now(socket.closed()).unwrap();
}

runtimes! {
    async fn a_task_sleeps_while_it_is_held_up_and_is_woken_in_time(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time, OverRate::Pause);
        let (waker, woken) = waker();
        send(&mut peer, 0..100).await;
        assert_eq!(receive(&mut socket, 0), AT_ONCE);
        for number in AT_ONCE..50 {
            let mut next = pin!(socket.next());
            assert!(poll_with(&waker, next.as_mut()).is_pending());
            assert!(!woken.take(), "it wakes itself");
            time.advance(TICK).await;
            assert!(woken.take());
            let message = poll_with(&waker, next).map(|message| message.unwrap().unwrap());
            assert_eq!(message, Poll::Ready(Message::text(number.to_string())));
        }
    }

    async fn a_handler_that_only_waits_gets_all_at_the_rate(rt) {
        let time = Paused::new(&rt);
        // A pause for bytes ends when 500 of them may be read.
        let config = time.config().set_byte_rate(BYTES, OverRate::Pause);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        let frame = Frame::new(2, vec![0; 94]).masked();
        peer.send_bytes(&frame.repeat(100)).await;
        let handler = time.run(async move {
            for _ in 0..100 {
                socket.next().await.unwrap().unwrap();
            }
        });
        let mut handler = pin!(handler);
        time.advance(93 * TICK).await;
        assert!((&mut handler).now_or_never().is_none(), "it is too early");
        time.advance(6 * TICK).await;
        assert!((&mut handler).now_or_never().is_some(), "it is too late");
    }

    async fn all_else_goes_on_during_a_pause(rt) {
        let time = Paused::new(&rt);
        let config = time
            .config()
            .set_message_rate(MESSAGES, OverRate::Pause)
            .set_max_lifetime(100 * SECOND);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        send(&mut peer, 0..1500).await;
        assert_eq!(receive(&mut socket, 0), AT_ONCE);
        let sender = socket.sender();
        sender.try_send("queued").unwrap();
        assert_waits(&mut socket);
        now(socket.send("sent".into())).unwrap();
        now(socket.feed("buffered".into())).unwrap();
        assert_waits(&mut socket);
        for text in ["queued", "sent", "buffered"] {
            assert_eq!(now(peer.frame()), Some(Frame::text(text)));
        }
        let mut passed = AT_ONCE;
        for _ in 0..1000 {
            time.advance(TICK).await;
            passed = receive(&mut socket, passed);
        }
        let end = loop {
            time.advance(TICK).await;
            match socket.next().now_or_never() {
                None | Some(Some(Ok(_))) => {}
                Some(end) => break end,
            }
        };
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Lifetime)))), "{end:?}");
    }

    async fn a_peer_that_is_held_up_is_pinged_and_not_given_up(rt) {
        let time = Paused::new(&rt);
        let config = time
            .config()
            .set_message_rate(Rate::new(1, 1), OverRate::Pause)
            .set_keepalive(5 * SECOND, 2 * SECOND);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        send(&mut peer, 0..61).await;
        let handler = time.run(async move {
            for number in 0..61 {
                let message = socket.next().await.unwrap().unwrap();
                assert_eq!(message, Message::text(number.to_string()));
            }
            socket
        });
        let mut handler = pin!(handler);
        time.advance(58 * SECOND).await;
        assert!((&mut handler).now_or_never().is_none());
        // The answers would be behind the messages.
        let mut pings = 0;
        while let Some(ping) = peer.frame().now_or_never() {
            let ping = ping.unwrap();
            assert_eq!(ping, Frame::new(PING, ping.payload.clone()));
            pings += 1;
        }
        assert!((10..=12).contains(&pings), "{pings}");
        time.advance(3 * SECOND).await;
        // Silence counts from now on.
        let mut socket = handler.now_or_never().unwrap().unwrap();
        let mut tenths = 0;
        let end = loop {
            if let Some(end) = socket.next().now_or_never() {
                break end;
            }
            time.advance(TICK).await;
            tenths += 1;
        };
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Pong)))), "{end:?}");
        // The last message was followed by a pause. The next ping may have been due in it.
        assert!((20..=85).contains(&tenths), "{tenths}");
    }

    async fn a_peer_that_is_held_up_is_not_idle(rt) {
        let time = Paused::new(&rt);
        let config = time
            .config()
            .set_message_rate(Rate::new(1, 1), OverRate::Pause)
            .set_idle_timeout(3 * SECOND);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        // No data; but nobody knows what is behind.
        peer.send_bytes(&Frame::new(PING, "").masked().repeat(20)).await;
        peer.send(Frame::text("data")).await;
        let mut pings = 0;
        for _ in 0..195 {
            time.advance(TICK).await;
            if let Some(ping) = socket.next().now_or_never() {
                assert_eq!(ping.unwrap().unwrap(), Message::Ping("".into()));
                pings += 1;
            }
        }
        assert_eq!(pings, 20);
        assert_eq!(received_within(&time, &mut socket, SECOND).await, Message::text("data"));
        // Now it is.
        let mut tenths = 0;
        let end = loop {
            if let Some(end) = socket.next().now_or_never() {
                break end;
            }
            time.advance(TICK).await;
            tenths += 1;
        };
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Idle)))), "{end:?}");
        // The message was followed by a pause.
        assert!((40..=43).contains(&tenths), "{tenths}");
    }

    async fn silence_counts_from_the_end_of_a_pause(rt) {
        let time = Paused::new(&rt);
        let config = time
            .config()
            .set_byte_rate(Rate::new(10, 150), OverRate::Pause)
            .set_idle_timeout(20 * SECOND);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        peer.send_bytes(&Frame::new(2, vec![0; 143]).masked()).await;
        // All that may be read at once was read.
        assert_eq!(received(&mut socket).len(), 143);
        let handler = time.run(async move { socket.next().await });
        let mut handler = pin!(handler);
        // Nothing comes in the 15 s of the pause, nor after it.
        time.advance(34 * SECOND).await;
        assert!((&mut handler).now_or_never().is_none(), "the pause counts");
        time.advance(2 * SECOND).await;
        let end = handler.await.unwrap();
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Idle)))), "{end:?}");
    }

    async fn halves_are_held_up_and_woken(rt) {
        let time = Paused::new(&rt);
        let (socket, mut peer) = socket(&time, OverRate::Pause);
        let (mut sender, mut receiver) = socket.split();
        send(&mut peer, 0..100).await;
        for number in 0..AT_ONCE {
            let message = now(receiver.next()).unwrap().unwrap();
            assert_eq!(message, Message::text(number.to_string()));
        }
        let (receiving, receiver_woken) = waker();
        let (sending, _) = waker();
        let mut closed = pin!(sender.closed());
        for number in AT_ONCE..20 {
            let mut next = pin!(receiver.next());
            assert!(poll_with(&receiving, next.as_mut()).is_pending());
            // The alarm is shared.
            assert!(poll_with(&sending, closed.as_mut()).is_pending());
            receiver_woken.take();
            time.advance(TICK).await;
            assert!(receiver_woken.take());
            assert!(poll_with(&sending, closed.as_mut()).is_pending());
            let message = now(next).unwrap().unwrap();
            assert_eq!(message, Message::text(number.to_string()));
        }
    }

    async fn rates_do_not_delay_a_close(rt) {
        let time = Paused::new(&rt);
        for is_dropped in [false, true] {
            let (mut socket, mut peer) = socket(&time, OverRate::Pause);
            send(&mut peer, 0..1000).await;
            assert_eq!(receive(&mut socket, 0), AT_ONCE);
            // It is behind all of them.
            peer.send(Frame::close(1000, "")).await;
            if is_dropped {
                drop(socket);
            } else {
                let closing = time.run(async move { socket.close((1000, "")).await });
                time.settle().await;
                assert!(closing.now_or_never().is_none(), "the peer has not ended TCP yet");
            }
            time.settle().await;
            assert_eq!(peer.frame().await.unwrap().code(), 1000);
            // The server ends TCP once it has read the Close.
            assert_eq!(peer.frame().await, None);
        }
    }

    async fn a_close_that_is_given_up_in_its_turn_holds_up_what_was_read(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time, OverRate::Pause);
        peer.send_bytes(&Frame::text("a").masked().repeat(1000)).await;
        for _ in 0..AT_ONCE {
            now(socket.next()).unwrap().unwrap();
        }
        // It discards a part of them, and yields.
        assert!(socket.close(None).now_or_never().is_none());
        for _ in 0..20 {
            assert_waits(&mut socket);
            time.advance(TICK).await;
            assert_eq!(received(&mut socket), Message::text("a"));
        }
    }

    async fn a_close_that_is_given_up_does_not_end_the_limits(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time, OverRate::Pause);
        send(&mut peer, 0..100).await;
        assert_eq!(receive(&mut socket, 0), AT_ONCE);
        assert!(socket.close(None).now_or_never().is_none());
        send(&mut peer, 0..100).await;
        // What was discarded was not counted; the messages before were.
        assert_waits(&mut socket);
        for number in 0..20 {
            time.advance(TICK).await;
            assert_eq!(receive(&mut socket, number), number + 1);
        }
    }
}
