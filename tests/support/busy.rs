//! Knows whether the tasks of a runtime all wait.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::future::BoxFuture;

/// How many tasks run or were woken.
#[derive(Clone, Default)]
pub struct Busy(Arc<AtomicUsize>);

impl Busy {
    pub fn is_busy(&self) -> bool {
        self.0.load(SeqCst) > 0
    }

    /// Makes a task that counts while it runs, and from a wakeup to the poll that follows.
    pub fn track(&self, task: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        self.0.fetch_add(1, SeqCst);
        Box::pin(Tracked {
            task: Some(task),
            tracker: Arc::new(Tracker {
                busy: self.clone(),
                state: Mutex::new(State {
                    is_busy: true,
                    is_woken: true,
                    waker: None,
                }),
            }),
        })
    }
}

struct Tracked {
    task: Option<BoxFuture<'static, ()>>,
    tracker: Arc<Tracker>,
}

struct Tracker {
    busy: Busy,
    state: Mutex<State>,
}

struct State {
    is_busy: bool,
    is_woken: bool,
    waker: Option<Waker>,
}

impl Future for Tracked {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let tracker = Arc::clone(&self.tracker);
        {
            let mut state = tracker.state.lock().unwrap();
            state.is_woken = false;
            state.waker = Some(cx.waker().clone());
            if !state.is_busy {
                // A runtime may poll without a wakeup.
                state.is_busy = true;
                tracker.busy.0.fetch_add(1, SeqCst);
            }
        }
        let waker = Waker::from(Arc::clone(&tracker));
        let task = self.task.as_mut().expect("it is not polled after its end");
        let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            self.task = None;
        }
        tracker.rest();
        polled
    }
}

impl Tracker {
    /// The task waits, unless it was woken while it was polled.
    fn rest(&self) {
        let mut state = self.state.lock().unwrap();
        if !state.is_woken && std::mem::take(&mut state.is_busy) {
            self.busy.0.fetch_sub(1, SeqCst);
        }
    }
}

/// A task that is dropped does nothing any more.
impl Drop for Tracked {
    fn drop(&mut self) {
        self.task = None;
        self.tracker.state.lock().unwrap().is_woken = false;
        self.tracker.rest();
        self.tracker.state.lock().unwrap().waker = None;
    }
}

impl Wake for Tracker {
    fn wake(self: Arc<Self>) {
        let waker = {
            let mut state = self.state.lock().unwrap();
            let Some(waker) = state.waker.clone() else {
                return;
            };
            state.is_woken = true;
            if !std::mem::replace(&mut state.is_busy, true) {
                self.busy.0.fetch_add(1, SeqCst);
            }
            waker
        };
        waker.wake();
    }
}
