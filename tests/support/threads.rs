//! A runtime of bare threads: one for each task, one for each timer that is waited for.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    thread,
    time::Instant,
};

use anyws::{Runtime, Sleep};
use futures::future::BoxFuture;

#[derive(Debug)]
pub struct ThreadRuntime;

impl Runtime for ThreadRuntime {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        thread::spawn(|| futures::executor::block_on(task));
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(ThreadSleep {
            deadline,
            armed: None,
            waker: Arc::default(),
        })
    }
}

struct ThreadSleep {
    deadline: Instant,
    /// The deadline that a thread waits for already.
    armed: Option<Instant>,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Future for ThreadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        if self.armed != Some(deadline) {
            self.armed = Some(deadline);
            let waker = Arc::downgrade(&self.waker);
            thread::spawn(move || {
                thread::sleep(deadline.saturating_duration_since(Instant::now()));
                let waker = waker
                    .upgrade()
                    .and_then(|waker| waker.lock().unwrap().take());
                if let Some(waker) = waker {
                    waker.wake();
                }
            });
        }
        Poll::Pending
    }
}

impl Sleep for ThreadSleep {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.deadline = deadline;
    }
}
