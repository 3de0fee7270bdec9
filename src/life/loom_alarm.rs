//! Models that show that an alarm loses no wakeup, whenever its clock ticks. A task that sleeps
//! forever is a deadlock in loom, and fails the test. `src/socket/split/loom_tests.rs` has the
//! command that runs them.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use futures_core::future::BoxFuture;
use loom::{future::block_on, model::Builder, thread};

use super::{
    alarm::{Alarm, Tick},
    clock::Clock,
    moment::Moment,
};
use crate::rt::{Runtime, Sleep};

/// A tick of the models. In the runtime's time, one has passed whenever the clock looks.
const TICK: Duration = Duration::from_secs(1);

/// The moments after one and after two ticks.
const FIRST: Moment = Moment(100);
const SECOND: Moment = Moment(200);

/// A runtime whose time moves by a tick with each look at it.
#[derive(Debug)]
struct Moving(std::sync::Mutex<Instant>);

impl Runtime for Moving {
    fn spawn(&self, _: BoxFuture<'static, ()>) {
        unreachable!("the models tick by themselves")
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        unreachable!("the models tick by themselves")
    }

    fn now(&self) -> Instant {
        let mut now = self.0.lock().unwrap();
        *now += TICK;
        *now
    }
}

/// A runtime that only has the default clock, to start from.
#[derive(Debug)]
struct Still;

impl Runtime for Still {
    fn spawn(&self, _: BoxFuture<'static, ()>) {
        unreachable!("nothing runs on it")
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        unreachable!("nothing runs on it")
    }
}

#[test]
fn an_alarm_that_is_set_while_the_clock_ticks_rings() {
    check(|| {
        let (clock, alarm) = clock();
        let ticking = thread::spawn(move || clock.tick(TICK));
        block_on(passes(&alarm, FIRST));
        ticking.join().unwrap();
        alarm.leave();
    });
}

#[test]
fn an_alarm_that_is_moved_while_it_rings_rings_again() {
    check(|| {
        let (clock, alarm) = clock();
        let ticking = thread::spawn(move || {
            clock.tick(TICK);
            clock.tick(TICK);
        });
        alarm.set(Some(FIRST));
        block_on(passes(&alarm, SECOND));
        ticking.join().unwrap();
        alarm.leave();
    });
}

#[test]
fn a_task_learns_that_its_clock_has_stopped() {
    check(|| {
        let (_clock, alarm) = clock();
        let stopped = Arc::clone(&alarm);
        let stopping = thread::spawn(move || stopped.stop());
        block_on(poll_fn(|cx| {
            alarm.register(cx.waker());
            if alarm.is_stopped() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        stopping.join().unwrap();
        alarm.leave();
    });
}

#[test]
fn an_alarm_may_leave_while_the_clock_ticks() {
    check(|| {
        let (clock, alarm) = clock();
        alarm.set(Some(FIRST));
        let ticking = thread::spawn(move || {
            clock.tick(TICK);
            clock.tick(TICK);
            clock
        });
        alarm.leave();
        let clock = ticking.join().unwrap();
        // The first tick may have come before it left.
        clock.tick(TICK);
        assert_eq!(Arc::strong_count(&alarm), 1, "the clock keeps it");
    });
}

fn clock() -> (Arc<Clock>, Arc<Alarm>) {
    let start = Still.now();
    let runtime: Arc<dyn Runtime> = Arc::new(Moving(std::sync::Mutex::new(start)));
    let clock = Arc::new(Clock::new(&runtime, start));
    let (alarm, _) = clock.add(Tick::MAX);
    (clock, alarm)
}

/// Waits as a socket does.
async fn passes(alarm: &Alarm, at: Moment) {
    poll_fn(|cx| {
        alarm.register(cx.waker());
        if alarm.set(Some(at)) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut loom = Builder::new();
    loom.preemption_bound.get_or_insert(3);
    loom.check(model);
}
