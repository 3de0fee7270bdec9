//! Tasks that wait while a deadline passes: they are woken, and not for ever.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use anyws::{
    Error, Message, OverRate, Rate, TimeoutPhase, TransportConfig, WebSocket, WebSocketConfig,
    testing,
};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use support::{
    frames::{Frame, PING, Peer, Role},
    runtimes,
    sockets::now,
    time::Paused,
};

const INTERVAL: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_secs(10);
const LIFETIME: Duration = Duration::from_secs(100);

/// More than one task needs between two waits.
const SPINS: u32 = 10;

/// A task that is polled by hand.
#[derive(Default)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl Task {
    /// Polls until the future is ready, or sleeps. Fails if it wakes itself for ever.
    fn poll<F: Future + Unpin>(self: &Arc<Self>, future: &mut F) -> Option<F::Output> {
        let waker = Waker::from(Arc::clone(self));
        for _ in 0..SPINS {
            self.0.store(false, SeqCst);
            if let Poll::Ready(output) = future.poll_unpin(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            if !self.0.load(SeqCst) {
                return None;
            }
        }
        panic!("it wakes itself for ever");
    }

    fn is_woken(&self) -> bool {
        self.0.load(SeqCst)
    }
}

/// A message that the peer does not accept at once.
fn large() -> Message {
    Message::binary(vec![0; 10_000])
}

/// A socket whose stream holds 1000 bytes.
fn narrow(config: WebSocketConfig) -> (WebSocket, testing::Duplex) {
    let transport = TransportConfig::default().write_buffer_size(0);
    let (near, far) = testing::duplex_with_capacity(1000);
    (
        Role::Server.socket(far, &config.set_transport(transport)),
        near,
    )
}

runtimes! {
    async fn a_task_that_awaits_the_answer_to_a_close_is_woken(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_keepalive(INTERVAL, TIMEOUT);
        let (mut socket, _peer) = Role::Server.with_peer(&config);
        socket.sender().close(None).unwrap();
        let ending = time.run(async move { socket.next().await });
        time.advance(INTERVAL + 2 * TIMEOUT).await;
        let end = ending.await.unwrap();
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Pong)))), "{end:?}");
    }

    async fn a_send_after_a_dropped_next_sleeps_though_a_ping_is_due(rt) {
        let time = Paused::new(&rt);
        let (mut socket, near) = narrow(time.config().set_keepalive(INTERVAL, TIMEOUT));
        let task = Arc::default();
        assert!(Task::poll(&task, &mut socket.next()).is_none());
        let mut send = socket.send(large());
        for _ in 0..5 {
            assert!(Task::poll(&task, &mut send).is_none());
            time.advance(INTERVAL).await;
        }
        drop((send, near));
    }

    async fn a_send_sleeps_beside_a_half_that_has_given_up_its_wait(rt) {
        let time = Paused::new(&rt);
        let (socket, near) = narrow(time.config().set_keepalive(INTERVAL, TIMEOUT));
        let (mut sender, mut receiver) = socket.split();
        let (receiving, sending) = (Arc::default(), Arc::default());
        assert!(Task::poll(&receiving, &mut receiver.next()).is_none());
        let mut send = Box::pin(sender.send(large()));
        for _ in 0..5 {
            assert!(Task::poll(&sending, &mut send).is_none());
            time.advance(INTERVAL).await;
        }
        assert!(receiving.is_woken(), "it may still wait, and has to ping");
        drop((send, near));
    }

    async fn a_half_that_waits_pings_beside_a_send_that_waits(rt) {
        let time = Paused::new(&rt);
        let (socket, mut near) = narrow(time.config().set_keepalive(INTERVAL, TIMEOUT));
        let (mut sender, mut receiver) = socket.split();
        let (receiving, sending) = (Arc::default(), Arc::default());
        let mut next = Box::pin(receiver.next());
        assert!(Task::poll(&receiving, &mut next).is_none());
        let mut send = Box::pin(sender.send(large()));
        assert!(Task::poll(&sending, &mut send).is_none());
        time.advance(INTERVAL + TIMEOUT / 2).await;
        // Whichever is polled first.
        assert!(Task::poll(&sending, &mut send).is_none());
        assert!(receiving.is_woken());
        assert!(Task::poll(&receiving, &mut next).is_none());
        let header = Frame::new(2, vec![0; 10_000]).bytes(Role::Server).len() - 10_000;
        for _ in 0..10 {
            near.read_exact(&mut [0; 1000]).await.unwrap();
            let _ = Task::poll(&sending, &mut send);
        }
        near.read_exact(&mut vec![0; header]).await.unwrap();
        let ping = now(Peer::new(near).frame()).unwrap();
        assert_eq!(ping, Frame::new(PING, ping.payload.clone()));
    }

    async fn a_send_after_a_dropped_next_sleeps_though_a_pause_is_over(rt) {
        let time = Paused::new(&rt);
        let rate = Rate::new(1, 1);
        let (mut socket, mut near) = narrow(time.config().set_message_rate(rate, OverRate::Pause));
        near.write_all(&Frame::text("a").masked().repeat(9)).await.unwrap();
        now(socket.next()).unwrap().unwrap();
        let task = Arc::default();
        assert!(Task::poll(&task, &mut socket.next()).is_none());
        let mut send = socket.send(large());
        for _ in 0..5 {
            assert!(Task::poll(&task, &mut send).is_none());
            time.advance(Duration::from_secs(1)).await;
        }
    }

    async fn a_half_that_is_held_up_is_woken_beside_a_send_that_waits(rt) {
        let time = Paused::new(&rt);
        let rate = Rate::new(1, 1);
        let (socket, mut near) = narrow(time.config().set_message_rate(rate, OverRate::Pause));
        near.write_all(&Frame::text("a").masked().repeat(9)).await.unwrap();
        let (mut sender, mut receiver) = socket.split();
        now(receiver.next()).unwrap().unwrap();
        let (receiving, sending) = (Arc::default(), Arc::default());
        let mut send = Box::pin(sender.send(large()));
        for _ in 0..5 {
            let mut next = Box::pin(receiver.next());
            assert!(Task::poll(&receiving, &mut next).is_none());
            assert!(Task::poll(&sending, &mut send).is_none());
            time.advance(Duration::from_secs(1)).await;
            // Whichever is polled first.
            assert!(Task::poll(&sending, &mut send).is_none());
            assert!(receiving.is_woken());
            assert!(Task::poll(&receiving, &mut next).is_some());
        }
    }

    async fn closed_of_a_half_is_told_though_nobody_receives(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_max_lifetime(LIFETIME);
        let (socket, mut peer) = Role::Server.with_peer(&config);
        let (mut sender, mut receiver) = socket.split();
        let task = Arc::default();
        let mut closed = Box::pin(sender.closed());
        assert!(Task::poll(&task, &mut closed).is_none());
        time.advance(LIFETIME + LIFETIME / 5).await;
        assert!(task.is_woken());
        let end = Task::poll(&task, &mut closed).expect("it is over");
        assert!(matches!(end, Err(Error::Timeout(TimeoutPhase::Lifetime))), "{end:?}");
        assert_eq!(now(peer.frame()).unwrap().code(), 1001);
        // The other half is told too, once.
        let end = now(receiver.next());
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Lifetime)))), "{end:?}");
        assert!(now(receiver.next()).is_none());
    }

    async fn a_half_that_waits_pings_beside_one_that_awaits_the_end(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_keepalive(INTERVAL, TIMEOUT);
        let (socket, mut peer) = Role::Server.with_peer(&config);
        let (mut sender, mut receiver) = socket.split();
        let (receiving, sending) = (Arc::default(), Arc::default());
        let mut next = Box::pin(receiver.next());
        assert!(Task::poll(&receiving, &mut next).is_none());
        let mut closed = Box::pin(sender.closed());
        assert!(Task::poll(&sending, &mut closed).is_none());
        time.advance(INTERVAL + TIMEOUT / 2).await;
        assert!(receiving.is_woken());
        assert!(Task::poll(&receiving, &mut next).is_none());
        let ping = now(peer.frame()).unwrap();
        assert_eq!(ping, Frame::new(PING, ping.payload.clone()));
    }

    async fn a_half_that_awaits_the_end_sleeps_though_a_ping_is_due(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_keepalive(INTERVAL, TIMEOUT);
        let (socket, _peer) = Role::Server.with_peer(&config);
        let (mut sender, mut receiver) = socket.split();
        let (receiving, sending) = (Arc::default(), Arc::default());
        assert!(Task::poll(&receiving, &mut receiver.next()).is_none());
        let mut closed = Box::pin(sender.closed());
        for _ in 0..5 {
            assert!(Task::poll(&sending, &mut closed).is_none());
            time.advance(INTERVAL).await;
        }
        assert!(receiving.is_woken(), "it may still wait, and has to ping");
    }
}
