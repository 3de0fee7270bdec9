//! `rt::sleep`, `rt::timeout` and `WebSocket::runtime`: handlers that wait and name no runtime.

use std::{
    future::{pending, poll_fn, ready},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use anyws::{
    Error, Message, Runtime, Sleep, TimeoutPhase, rt,
    rt::{NoTimers, TimeoutError},
    testing,
};
use futures::{FutureExt, channel::oneshot, future::BoxFuture};
use support::runtimes;

const TICK: Duration = Duration::from_millis(20);
const HOUR: Duration = Duration::from_secs(3600);

/// More than clocks can express, the most that they might, and less.
const FOREVER: [Duration; 3] = [
    Duration::MAX,
    Duration::from_secs(i64::MAX as u64),
    Duration::from_secs(1 << 40),
];

runtimes! {
    async fn a_sleep_ends_at_its_deadline_and_not_before(rt) {
        let started = rt.now();
        assert_eq!(rt::sleep(&rt, TICK).await, Ok(()));
        assert!(rt.now() >= started + TICK);
    }

    async fn the_time_of_a_sleep_runs_from_the_call(rt) {
        let sleep = rt::sleep(&rt, TICK);
        rt.sleep_until(rt.now() + TICK).await;
        // The deadline has passed before the first poll.
        let started = Instant::now();
        sleep.await.unwrap();
        assert!(started.elapsed() < TICK);
    }

    async fn the_time_of_a_timeout_runs_from_the_call(rt) {
        let bounded = rt::timeout(&rt, 5 * TICK, pending::<()>());
        rt.sleep_until(rt.now() + 5 * TICK).await;
        let started = Instant::now();
        assert_eq!(bounded.await, Err(TimeoutError::Elapsed));
        assert!(started.elapsed() < 5 * TICK);
    }

    async fn a_sleep_of_zero_ends(rt) {
        assert_eq!(rt::sleep(&rt, Duration::ZERO).await, Ok(()));
    }

    async fn what_no_clock_can_express_never_ends(rt) {
        for duration in FOREVER {
            let polled = rt::sleep(&rt, duration).now_or_never();
            assert!(polled.is_none(), "{duration:?}");
            let bounded = rt::timeout(&rt, duration, rt::sleep(&rt, TICK));
            assert_eq!(bounded.await, Ok(Ok(())), "{duration:?}");
        }
    }

    async fn a_sleep_that_is_polled_by_reference_keeps_its_deadline(rt) {
        let started = rt.now();
        let mut sleep = rt::sleep(&rt, 3 * TICK);
        let mut turns = 0;
        while rt::timeout(&rt, TICK, &mut sleep).await.is_err() {
            turns += 1;
        }
        assert!(rt.now() >= started + 3 * TICK);
        assert!((1..=3).contains(&turns), "{turns}");
    }

    async fn an_output_in_time_is_returned(rt) {
        assert_eq!(rt::timeout(&rt, HOUR, ready(7)).await, Ok(7));
        let (done, finished) = oneshot::channel();
        rt.spawn(Box::pin(async move { done.send(7).unwrap() }));
        assert_eq!(rt::timeout(&rt, HOUR, finished).await, Ok(Ok(7)));
    }

    async fn a_future_that_is_not_ready_in_time_is_dropped(rt) {
        let (held, dropped) = oneshot::channel::<()>();
        let started = rt.now();
        let late = rt::timeout(&rt, TICK, async move {
            let _held = held;
            pending::<()>().await;
        });
        assert_eq!(late.await, Err(TimeoutError::Elapsed));
        assert!(rt.now() >= started + TICK);
        assert!(dropped.await.is_err());
    }

    async fn an_output_that_is_ready_when_the_time_is_up_is_returned(rt) {
        assert_eq!(rt::timeout(&rt, Duration::ZERO, ready(7)).await, Ok(7));
        let bounded = rt::timeout(&rt, TICK, ready(7));
        rt.sleep_until(rt.now() + TICK).await;
        assert_eq!(bounded.await, Ok(7));
        // Woken by the timer alone, and ready since.
        let is_ready = AtomicBool::new(false);
        let output = poll_fn(|_| {
            if is_ready.swap(true, Ordering::SeqCst) {
                Poll::Ready(7)
            } else {
                Poll::Pending
            }
        });
        assert_eq!(rt::timeout(&rt, TICK, output).await, Ok(7));
    }

    async fn a_message_is_not_lost_by_a_timeout(rt) {
        let (mut client, mut server) = testing::pair_with(&support::config(&rt)).unwrap();
        let late = rt::timeout(&rt, TICK, server.next()).await;
        assert_eq!(late.map(drop), Err(TimeoutError::Elapsed));
        client.send("hello".into()).await.unwrap();
        let received = rt::timeout(&rt, HOUR, server.next()).await.unwrap();
        assert_eq!(received.unwrap().unwrap(), Message::text("hello"));
    }

    async fn a_socket_and_its_halves_return_their_runtime(rt) {
        let (_client, server) = testing::pair_with(&support::config(&rt)).unwrap();
        assert!(Arc::ptr_eq(&server.runtime().unwrap(), &rt));
        let (sender, receiver) = server.split();
        assert!(Arc::ptr_eq(&sender.runtime().unwrap(), &rt));
        assert!(Arc::ptr_eq(&receiver.runtime().unwrap(), &rt));
        let server = sender.reunite(receiver).unwrap();
        assert!(Arc::ptr_eq(&server.runtime().unwrap(), &rt));
    }
}

/// Demands that neither works, and that a future under a timeout is not even polled.
fn assert_has_no_timers(rt: &Arc<dyn Runtime>) {
    for duration in [TICK, Duration::MAX] {
        let slept: Option<Result<(), NoTimers>> = rt::sleep(rt, duration).now_or_never();
        assert!(slept.unwrap().is_err());
    }
    let bounded = rt::timeout(rt, TICK, async { unreachable!("it is not polled") });
    let polled: Option<Result<(), _>> = bounded.now_or_never();
    assert_eq!(polled, Some(Err(TimeoutError::NoTimers)));
}

/// A runtime that can do nothing.
#[derive(Debug)]
struct Timerless;

impl Runtime for Timerless {
    fn spawn(&self, _: BoxFuture<'static, ()>) {}

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        unreachable!("it has no timers")
    }

    fn has_timers(&self) -> bool {
        false
    }
}

#[test]
fn a_runtime_without_timers_is_an_error() {
    let rt: Arc<dyn Runtime> = Arc::new(Timerless);
    assert_has_no_timers(&rt);
    let (_client, socket) = testing::pair_with(&support::config(&rt)).unwrap();
    assert_has_no_timers(&socket.runtime().unwrap());
}

#[test]
fn both_errors_convert_into_those_of_sockets() {
    assert!(matches!(
        Error::from(TimeoutError::NoTimers),
        Error::NoRuntime
    ));
    let elapsed = Error::from(TimeoutError::Elapsed);
    assert!(matches!(elapsed, Error::Timeout(TimeoutPhase::Operation)));
    let timerless: Arc<dyn Runtime> = Arc::new(Timerless);
    let handler = async {
        rt::sleep(&timerless, TICK).await?;
        anyws::Result::Ok(())
    };
    let result = handler.now_or_never().unwrap();
    assert!(matches!(result, Err(Error::NoRuntime)));
    let slept = rt::sleep(&timerless, TICK).now_or_never().unwrap();
    let error = slept.unwrap_err();
    assert_eq!(TimeoutError::from(error), TimeoutError::NoTimers);
    assert_eq!(TimeoutError::NoTimers.to_string(), error.to_string());
}

#[test]
fn both_can_be_sent_to_other_threads_and_hold_on_to_nothing() {
    fn assert_send<T: Send + 'static>(future: T) -> T {
        future
    }
    let rt: Arc<dyn Runtime> = Arc::new(Timerless);
    let mut sleep = assert_send(rt::sleep(&rt, TICK));
    let bounded = assert_send(rt::timeout(&rt, TICK, pending::<()>()));
    drop(rt);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut sleep).poll(&mut cx).is_ready());
    assert!(pin!(bounded).poll(&mut cx).is_ready());
}

#[cfg(feature = "rt-tokio")]
mod tokio_runtime {
    use super::*;

    fn builder() -> tokio::runtime::Builder {
        tokio::runtime::Builder::new_current_thread()
    }

    #[test]
    fn a_runtime_that_was_built_without_time_is_an_error() {
        let tokio = builder().build().unwrap();
        let rt = anyws::TokioRuntime::new(tokio.handle().clone());
        assert_has_no_timers(&(Arc::new(rt) as Arc<dyn Runtime>));
    }

    /// tokio gives a task a budget: whoever has used it up is pending, the timer as well.
    #[test]
    fn a_timeout_ends_what_never_rests() {
        support::on_tokio(|rt| async move {
            let busy = async {
                loop {
                    tokio::task::consume_budget().await;
                }
            };
            let result: Result<(), _> = rt::timeout(&rt, TICK, busy).await;
            assert_eq!(result, Err(TimeoutError::Elapsed));
        });
    }

    #[test]
    fn paused_time_is_honoured() {
        support::bounded(|| {
            let tokio = builder().enable_all().start_paused(true).build().unwrap();
            tokio.block_on(async {
                let rt: Arc<dyn Runtime> = Arc::new(anyws::TokioRuntime::current().unwrap());
                let (started, real) = (rt.now(), Instant::now());
                rt::sleep(&rt, HOUR).await.unwrap();
                let late = rt::timeout(&rt, HOUR, pending::<()>()).await;
                assert_eq!(late, Err(TimeoutError::Elapsed));
                assert!(rt.now() >= started + 2 * HOUR);
                assert!(real.elapsed() < Duration::from_secs(60));
            });
        });
    }
}
