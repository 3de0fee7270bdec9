//! Tasks without a runtime: polls by hand, and wakers that count.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::script::Script;

/// Polls after which something that has to end is said to hang.
const MANY: usize = 100_000;

/// The waker of a task, which counts.
#[derive(Debug, Default)]
pub struct Counter(AtomicUsize);

impl Counter {
    /// How often the task was woken.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls a task once.
///
/// Where it is pending, it was woken already, or what it waits for wakes it: the stream was asked
/// in a direction, and knows this task by that. A write that waits has to wake it in any case, for
/// each operation may have to write.
pub fn poll_once<F: Future + ?Sized>(
    script: &Script,
    counter: &Arc<Counter>,
    future: Pin<&mut F>,
) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(counter));
    let before = counter.count();
    script.begin_poll();
    let poll = future.poll(&mut Context::from_waker(&waker));
    if poll.is_pending() && counter.count() == before {
        let [read, write] = script.take_blocked();
        assert!(read.is_some() || write.is_some(), "nothing wakes the task");
        if let Some(write) = write {
            write.wake();
            let count = counter.count();
            assert!(count > before, "a write that waits does not wake the task");
        }
        if let Some(read) = read {
            read.wake();
        }
        let count = counter.count();
        assert!(count > before, "what the task waits for does not wake it");
    }
    poll
}

/// Polls a future so many times, then drops it.
pub fn poll_times<F: Future>(script: &Script, polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let counter = Arc::default();
    for _ in 0..polls {
        if let Poll::Ready(output) = poll_once(script, &counter, future.as_mut()) {
            return Some(output);
        }
    }
    None
}

/// Polls a future to its end, which has to come.
pub fn poll_to_end<F: Future>(script: &Script, future: F) -> F::Output {
    poll_times(script, MANY, future).expect("the future comes to an end")
}
