//! The contract of `Runtime` and `Sleep`, kept by every runtime, and which one `detect` finds.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use anyws::rt;
use futures::channel::oneshot;

mod support;

const TICK: Duration = Duration::from_millis(20);

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
        let mut sleep = rt.sleep_until(rt.now() + Duration::from_secs(3600));
        let is_pending = poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending())).await;
        assert!(is_pending);
        for _ in 0..2 {
            let deadline = rt.now() + TICK;
            sleep.as_mut().reset(deadline);
            sleep.as_mut().await;
            assert!(rt.now() >= deadline);
        }
    }
}

#[cfg(feature = "rt-tokio")]
mod tokio_runtime {
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

    #[test]
    fn a_runtime_without_timers_says_so() {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert!(!anyws::TokioRuntime::new(tokio.handle().clone()).has_timers());
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
