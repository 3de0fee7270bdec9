//! The clock: one for each runtime, coarse, and patient with an executor that stands still.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use anyws::{Error, Runtime, TimeoutPhase, WebSocket};
use futures::FutureExt;
use support::{
    frames::{Frame, PONG, Peer, Role},
    runtimes,
    sockets::{assert_waits, now},
    still::Still,
    time::Paused,
};

const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_secs(10);

fn socket(time: &Arc<Paused>) -> (WebSocket, Peer) {
    Role::Server.with_peer(&time.config().set_keepalive(INTERVAL, TIMEOUT))
}

fn idle(time: &Arc<Paused>, timeout: Duration) -> (WebSocket, Peer) {
    Role::Server.with_peer(&time.config().set_idle_timeout(timeout))
}

runtimes! {
    async fn sockets_of_one_runtime_share_a_clock_which_ends_with_them(rt) {
        let time = Paused::new(&rt);
        let (one, two) = (socket(&time), socket(&time));
        time.settle().await;
        assert_eq!((time.spawned(), time.timers()), (1, 1));
        drop(one);
        time.advance(2 * SECOND).await;
        assert_eq!(time.timers(), 1);
        let before = time.spawned();
        drop(two);
        // Both were closed by tasks of their own.
        time.advance(15 * SECOND).await;
        assert_eq!(time.timers(), 0, "the clock goes on");
        // The next socket starts it again.
        let _three = socket(&time);
        time.settle().await;
        assert_eq!((time.spawned() > before, time.timers()), (true, 1));
    }

    async fn two_runtimes_have_two_clocks(rt) {
        let (one, two) = (Paused::new(&rt), Paused::new(&rt));
        let (mut early, _a) = idle(&one, 10 * SECOND);
        let (mut late, _b) = idle(&two, 10 * SECOND);
        assert_waits(&mut early);
        assert_waits(&mut late);
        one.advance(15 * SECOND).await;
        assert_waits(&mut early);
        assert!(now(early.next()).is_some());
        assert_waits(&mut late);
        assert_waits(&mut late);
    }

    async fn without_timeouts_there_is_no_clock(rt) {
        let time = Paused::new(&rt);
        let (mut socket, _peer) = Role::Server.with_peer(&time.config());
        let _sender = socket.sender();
        assert_waits(&mut socket);
        assert_eq!((time.spawned(), time.timers()), (0, 0));
    }

    async fn a_shorter_timeout_makes_the_clock_tick_faster_while_it_is_there(rt) {
        let time = Paused::new(&rt);
        let (mut slow, _a) = idle(&time, 60 * SECOND);
        assert_waits(&mut slow);
        time.advance(SECOND / 4).await;
        let (mut fast, _b) = idle(&time, 4 * SECOND / 10);
        assert_waits(&mut fast);
        time.settle().await;
        time.advance(4 * SECOND / 10).await;
        assert_waits(&mut fast);
        // An eighth of the timeout is 50 ms, the shortest tick.
        time.advance(SECOND / 10).await;
        assert_waits(&mut fast);
        assert!(matches!(now(fast.next()), Some(Err(Error::Timeout(TimeoutPhase::Idle)))));
        assert_waits(&mut slow);
        drop(fast);
        time.advance(59 * SECOND).await;
        assert_waits(&mut slow);
        // Long ticks again, of which it may be late by two.
        time.advance(3 * SECOND).await;
        assert_waits(&mut slow);
        assert!(now(slow.next()).is_some());
    }

    async fn an_executor_that_stands_still_disconnects_nobody(rt) {
        let time = Paused::new(&rt);
        let mut sockets: Vec<_> = (0..200)
            .map(|_| {
                let (socket, peer) = socket(&time);
                (socket, peer, None)
            })
            .collect();
        let mut pings = 0;
        for second in 0..100 {
            // When the first pings are sent, a few each second.
            if second == 13 {
                // Nothing runs for five times as long as a peer may be silent.
                time.jump(5 * (INTERVAL + TIMEOUT));
                time.settle().await;
            }
            time.advance(SECOND).await;
            for (socket, peer, unanswered) in &mut sockets {
                // A task that is woken polls again: twice is enough for a judgement.
                assert_waits(socket);
                assert_waits(socket);
                // The answer comes a second late, and the executor may stand still before it.
                if let Some(payload) = unanswered.take() {
                    peer.send(Frame::new(PONG, payload)).await;
                    pings += 1;
                }
                if let Some(ping) = peer.frame().now_or_never() {
                    *unanswered = Some(ping.unwrap().payload);
                }
            }
        }
        assert!(pings >= 200 * 3, "{pings}");
    }

    async fn a_runtime_that_drops_the_clock_is_an_error_that_says_so(rt) {
        drop(rt);
        // It drops every task.
        let config = Still::default().config().set_keepalive(INTERVAL, TIMEOUT);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        let end = now(socket.next());
        assert!(matches!(end, Some(Err(Error::NoRuntime))), "{end:?}");
        assert!(now(socket.next()).is_none());
        assert_eq!(peer.frame().await.unwrap().code(), 1001);
    }

    async fn ten_thousand_sockets_are_not_pinged_at_once(rt) {
        const SOCKETS: usize = 10_000;
        let time = Paused::new(&rt);
        let mut silent: Vec<_> = (0..SOCKETS).map(|_| socket(&time)).collect();
        let mut pinged = Vec::new();
        while !silent.is_empty() {
            let before = silent.len();
            silent.retain_mut(|(socket, peer)| {
                assert!(socket.next().now_or_never().is_none());
                peer.frame().now_or_never().is_none()
            });
            pinged.push(before - silent.len());
            assert!(pinged.len() < 30, "some are never pinged");
            time.advance(SECOND).await;
        }
        // Half of the interval has ten ticks.
        let most = *pinged.iter().max().unwrap();
        assert!(most < SOCKETS / 10 * 3 / 2, "{pinged:?}");
        assert!(pinged.iter().filter(|it| **it > 0).count() >= 10, "{pinged:?}");
    }

    async fn time_that_the_executor_stood_still_does_not_count(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        while peer.frame().now_or_never().is_none() {
            assert_waits(&mut socket);
            time.advance(SECOND).await;
        }
        // The answer is on its way for as long as the executor stands still.
        for _ in 0..3 {
            time.jump(5 * (INTERVAL + TIMEOUT));
            time.settle().await;
            for _ in 0..3 {
                assert_waits(&mut socket);
            }
        }
        time.advance(TIMEOUT).await;
        assert_waits(&mut socket);
        assert!(matches!(now(socket.next()), Some(Err(Error::Timeout(TimeoutPhase::Pong)))));
    }
}

/// Polls the tasks of a runtime that runs nothing by itself.
fn run(tasks: &mut Vec<futures::future::BoxFuture<'static, ()>>) {
    let mut cx = Context::from_waker(Waker::noop());
    tasks.retain_mut(|task| pin!(task).poll(&mut cx) == Poll::Pending);
}

#[test]
fn a_clock_frees_its_memory_with_its_sockets() {
    let still = Still::keeping();
    let inner: Arc<dyn Runtime> = Arc::new(still.clone());
    let time = Paused::new(&inner);
    let first = socket(&time);
    let mut tasks = still.tasks();
    run(&mut tasks);
    let mut tick = || {
        time.jump(SECOND);
        run(&mut tasks);
    };
    let memory = allocation_counter::measure(|| {
        let sockets: Vec<_> = (0..10_000).map(|_| socket(&time)).collect();
        tick();
        drop(sockets);
        drop(still.tasks());
        tick();
        tick();
    });
    assert!(memory.bytes_max > 1_000_000, "{memory:?}");
    assert!(memory.bytes_current < 4096, "{memory:?}");
    drop(first);
}

#[test]
fn a_task_that_waits_is_woken_when_its_clock_is_dropped() {
    #[derive(Default)]
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
        }
    }
    let still = Still::keeping();
    let config = still.config().set_keepalive(INTERVAL, TIMEOUT);
    let (mut socket, _peer) = Role::Server.with_peer(&config);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(
        socket
            .next()
            .poll_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert!(!woken.0.load(SeqCst));
    // As a runtime does that is shut down.
    drop(still.tasks());
    assert!(woken.0.load(SeqCst));
    assert!(matches!(now(socket.next()), Some(Err(Error::NoRuntime))));
}

#[test]
fn a_clock_outlives_a_waker_that_panics() {
    #[derive(Default)]
    struct Panics(AtomicBool);
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            assert!(self.0.swap(true, SeqCst), "a waker panics, once");
        }
    }
    let still = Still::keeping();
    let inner: Arc<dyn Runtime> = Arc::new(still.clone());
    let time = Paused::new(&inner);
    let (mut bad, _a) = idle(&time, 10 * SECOND);
    let (mut good, _b) = idle(&time, 10 * SECOND);
    let panics = Arc::new(Panics::default());
    let waker = Waker::from(Arc::clone(&panics));
    assert!(
        bad.next()
            .poll_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert_waits(&mut good);
    let mut tasks = still.tasks();
    for _ in 0..15 {
        run(&mut tasks);
        time.jump(SECOND);
    }
    assert!(panics.0.load(SeqCst));
    assert_waits(&mut good);
    assert!(matches!(
        now(good.next()),
        Some(Err(Error::Timeout(TimeoutPhase::Idle)))
    ));
}

#[cfg(feature = "rt-tokio")]
mod on_tokio {
    use anyws::{TokioRuntime, testing};
    use tokio::runtime::Builder;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn handles_of_one_runtime_have_one_identity() {
        let (one, two) = (runtime(), runtime());
        let identity =
            |it: &tokio::runtime::Runtime| TokioRuntime::new(it.handle().clone()).identity();
        assert_eq!(identity(&one), identity(&one));
        assert_ne!(identity(&one), identity(&two));
    }

    #[test]
    fn a_runtime_that_was_shut_down_is_an_error_and_another_one_has_its_own_clock() {
        let (one, two) = (runtime(), runtime());
        let open = |it: &tokio::runtime::Runtime| {
            let runtime = Arc::new(TokioRuntime::new(it.handle().clone()));
            let config = anyws::WebSocketConfig::new()
                .set_runtime(runtime)
                .set_idle_timeout(Duration::from_millis(400));
            Role::Server.with_peer(&config)
        };
        let (mut dead, _a) = open(&one);
        one.shutdown_background();
        let end = futures::executor::block_on(dead.next());
        assert!(matches!(end, Some(Err(Error::NoRuntime))), "{end:?}");
        let (mut alive, _b) = open(&two);
        let end = two.block_on(alive.next());
        assert!(
            matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Idle)))),
            "{end:?}"
        );
    }

    #[test]
    fn a_thread_that_is_blocked_disconnects_nobody() {
        let tokio = Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(async {
            let timeout = Duration::from_millis(400);
            let config = anyws::WebSocketConfig::new().set_keepalive(timeout, timeout);
            let (near, far) = testing::duplex();
            let mut server = testing::server(far, &config).unwrap();
            let mut client = testing::client(near, &anyws::WebSocketConfig::new()).unwrap();
            let serving = tokio::spawn(async move { server.next().await });
            tokio::spawn(async move { while client.next().await.is_some() {} });
            tokio::time::sleep(timeout).await;
            std::thread::sleep(5 * timeout);
            tokio::time::sleep(timeout).await;
            assert!(!serving.is_finished());
        });
    }
}

#[cfg(feature = "rt-smol")]
#[test]
fn values_for_one_executor_of_smol_have_one_identity() {
    use anyws::SmolRuntime;
    let (one, two) = (Arc::default(), Arc::default());
    let identity = |it| SmolRuntime::with_executor(it).identity();
    assert_eq!(identity(&one), identity(&one));
    assert_ne!(identity(&one), identity(&two));
    assert_eq!(SmolRuntime::new().identity(), SmolRuntime::new().identity());
    assert_ne!(SmolRuntime::new().identity(), identity(&one));
}
