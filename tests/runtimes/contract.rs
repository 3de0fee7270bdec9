//! The contract of `Runtime` and `Sleep`, kept by every runtime, and which one `detect` finds.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use anyws::{Sleep, rt};
use futures::channel::oneshot;
use support::runtimes;

const TICK: Duration = Duration::from_millis(20);
const HOUR: Duration = Duration::from_secs(3600);

runtimes! {
    async fn a_spawned_task_runs_though_nobody_holds_it(rt) {
        let (done, finished) = oneshot::channel();
        rt.spawn(Box::pin(async move { done.send(7).unwrap() }));
        assert_eq!(finished.await, Ok(7));
    }

    async fn a_task_is_spawned_from_any_thread(rt) {
        let (done, finished) = oneshot::channel();
        let other = Arc::clone(&rt);
        let task = Box::pin(async move { done.send(()).unwrap() });
        std::thread::spawn(move || other.spawn(task)).join().unwrap();
        assert_eq!(finished.await, Ok(()));
    }

    async fn a_timer_fires_at_its_deadline_and_not_before(rt) {
        assert!(rt.has_timers());
        let deadline = rt.now() + TICK;
        rt.sleep_until(deadline).await;
        assert!(rt.now() >= deadline);
    }

    async fn a_deadline_in_the_past_fires_at_once(rt) {
        rt.sleep_until(rt.now()).await;
    }

    async fn a_timer_is_moved_before_and_after_it_fired(rt) {
        let mut sleep = rt.sleep_until(rt.now() + HOUR);
        assert!(is_pending(&mut sleep).await);
        for _ in 0..2 {
            let deadline = rt.now() + TICK;
            sleep.as_mut().reset(deadline);
            sleep.as_mut().await;
            assert!(rt.now() >= deadline);
        }
    }

    async fn a_timer_that_is_moved_to_later_does_not_fire_at_its_first_deadline(rt) {
        let first = rt.now() + TICK;
        let mut sleep = rt.sleep_until(first);
        assert!(is_pending(&mut sleep).await);
        let later = first + 2 * TICK;
        sleep.as_mut().reset(later);
        sleep.as_mut().await;
        assert!(rt.now() >= later);
    }

    async fn a_timer_that_has_fired_waits_again_once_it_is_moved(rt) {
        let mut sleep = rt.sleep_until(rt.now());
        sleep.as_mut().await;
        sleep.as_mut().reset(rt.now() + HOUR);
        assert!(is_pending(&mut sleep).await);
        // And back again: an hour is not waited for.
        sleep.as_mut().reset(rt.now());
        sleep.as_mut().await;
    }

    async fn a_timer_is_moved_before_it_was_polled(rt) {
        let mut sleep = rt.sleep_until(rt.now() + HOUR);
        let deadline = rt.now() + TICK;
        sleep.as_mut().reset(deadline);
        sleep.as_mut().await;
        assert!(rt.now() >= deadline);
    }
}

/// Polls a timer once, in the task that goes on to wait for it.
async fn is_pending(sleep: &mut Pin<Box<dyn Sleep>>) -> bool {
    poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending())).await
}

#[cfg(feature = "rt-tokio")]
mod tokio_runtime {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        task::{Context, Wake, Waker},
    };

    use anyws::Runtime;

    use super::*;

    #[test]
    fn paused_time_is_honoured() {
        support::bounded(|| {
            let tokio = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            tokio.block_on(async {
                let rt = anyws::TokioRuntime::current().unwrap();
                let (started, real) = (rt.now(), std::time::Instant::now());
                rt.sleep_until(started + Duration::from_secs(3600)).await;
                assert!(rt.now() >= started + Duration::from_secs(3600));
                assert!(real.elapsed() < Duration::from_secs(60));
            });
        });
    }

    /// A thread remembers the answer of one runtime, and must not give it for another one.
    #[test]
    fn runtimes_with_and_without_timers_take_turns_on_one_thread() {
        let runtimes = [true, false].map(|has_timers| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            if has_timers {
                builder.enable_time();
            }
            let tokio = builder.build().unwrap();
            let runtime = anyws::TokioRuntime::new(tokio.handle().clone());
            (tokio, runtime, has_timers)
        });
        for _ in 0..3 {
            for (_tokio, runtime, has_timers) in &runtimes {
                assert_eq!(runtime.has_timers(), *has_timers);
                assert_eq!(runtime.clone().has_timers(), *has_timers);
            }
        }
    }

    #[test]
    fn a_runtime_without_timers_says_so() {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert!(!anyws::TokioRuntime::new(tokio.handle().clone()).has_timers());
    }

    /// A waker that panics.
    struct Bomb;

    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("a bomb");
        }
    }

    /// A runtime of tokio that does not run, and a timer of it.
    fn sleep() -> (tokio::runtime::Runtime, Pin<Box<dyn Sleep>>) {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let rt = anyws::TokioRuntime::new(tokio.handle().clone());
        let sleep = rt.sleep_until(rt.now() + HOUR);
        (tokio, sleep)
    }

    fn poll(sleep: &mut Pin<Box<dyn Sleep>>, waker: &Waker) -> Poll<()> {
        sleep.as_mut().poll(&mut Context::from_waker(waker))
    }

    #[test]
    fn a_timer_of_a_runtime_that_was_shut_down_has_passed() {
        for is_polled_before in [false, true] {
            let (tokio, mut sleep) = sleep();
            if is_polled_before {
                assert!(poll(&mut sleep, Waker::noop()).is_pending());
            }
            drop(tokio);
            assert!(poll(&mut sleep, Waker::noop()).is_ready());
        }
    }

    /// Where the budget of a task is used up, and no scheduler is at hand, a timer wakes its task
    /// by itself: so a waker that panics does so inside of the timer.
    #[test]
    fn any_other_panic_of_a_timer_goes_to_whoever_polls_it() {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let panic = tokio.block_on(async {
            let rt = anyws::TokioRuntime::current().unwrap();
            let mut fired = rt.sleep_until(rt.now());
            fired.as_mut().await;
            let bomb = Waker::from(Arc::new(Bomb));
            poll_fn(|_| {
                // The budget of a task is 128 operations.
                let mut polls = 0..1000;
                let polled = AssertUnwindSafe(|| polls.all(|_| poll(&mut fired, &bomb).is_ready()));
                Poll::Ready(catch_unwind(polled).unwrap_err())
            })
            .await
        });
        assert_eq!(panic.downcast_ref(), Some(&"a bomb"));
    }

    #[test]
    fn there_is_none_outside_of_tokio() {
        assert!(anyws::TokioRuntime::current().is_err());
    }

    #[test]
    fn detect_finds_tokio_inside_of_tokio() {
        support::on_tokio(|_| async {
            assert!(format!("{:?}", rt::detect().unwrap()).starts_with("TokioRuntime"));
        });
    }
}

#[cfg(feature = "rt-smol")]
mod smol_runtime {
    use anyws::Runtime;

    use super::*;

    #[test]
    fn detect_finds_smol_outside_of_tokio() {
        assert!(format!("{:?}", rt::detect().unwrap()).starts_with("SmolRuntime"));
    }

    #[test]
    fn an_executor_handed_over_runs_the_tasks() {
        support::bounded(|| {
            let executor = Arc::new(smol::Executor::new());
            let rt = anyws::SmolRuntime::with_executor(&executor);
            let (done, finished) = oneshot::channel();
            rt.spawn(Box::pin(async move { done.send(()).unwrap() }));
            assert!(!executor.is_empty());
            smol::block_on(executor.run(finished)).unwrap();
        });
    }
}

#[cfg(not(any(feature = "rt-tokio", feature = "rt-smol")))]
#[test]
fn detect_finds_nothing_without_a_feature() {
    assert!(rt::detect().is_none());
}
