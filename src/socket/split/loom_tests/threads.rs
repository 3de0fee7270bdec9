//! A runtime for the models.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex as StdMutex},
    task::{Context, Poll, Waker},
    time::Instant,
};

use futures_core::future::BoxFuture;
use loom::sync::Mutex;

use crate::rt::{Runtime, Sleep};

/// A runtime that keeps its tasks for the model to run, and has one timer.
#[derive(Default)]
pub(super) struct Threads {
    tasks: StdMutex<Vec<BoxFuture<'static, ()>>>,
    pub(super) timer: Timer,
}

impl Threads {
    pub(super) fn tasks(&self) -> Vec<BoxFuture<'static, ()>> {
        mem::take(&mut self.tasks.lock().unwrap())
    }
}

impl Runtime for Threads {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tasks.lock().unwrap().push(task);
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.timer.clone())
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

/// A timer that fires when the model calls `fire`.
#[derive(Clone, Default)]
pub(super) struct Timer(Arc<Mutex<Alarm>>);

#[derive(Default)]
pub(super) struct Alarm {
    has_fired: bool,
    sleeper: Option<Waker>,
}

impl Timer {
    pub(super) fn fire(&self) {
        let mut alarm = self.0.lock().unwrap();
        alarm.has_fired = true;
        let sleeper = alarm.sleeper.take();
        drop(alarm);
        wake(sleeper);
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.0.lock().unwrap();
        if alarm.has_fired {
            return Poll::Ready(());
        }
        alarm.sleeper = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Sleep for Timer {
    fn reset(self: Pin<&mut Self>, _: Instant) {}
}

pub(super) fn wake(task: Option<Waker>) {
    if let Some(waker) = task {
        waker.wake();
    }
}
