//! Tasks of a runtime, and tasks that a test polls by hand.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use anyws::Runtime;
use futures::channel::oneshot::{self, Receiver};

/// Runs a future as a task of its own: its waker is its own too.
pub fn spawn<T: Send + 'static>(
    runtime: &Arc<dyn Runtime>,
    future: impl Future<Output = T> + Send + 'static,
) -> Receiver<T> {
    let (done, finished) = oneshot::channel();
    runtime.spawn(Box::pin(async move {
        // A test that has failed waits no more.
        let _ = done.send(future.await);
    }));
    finished
}

/// Lets the tasks of a runtime run until they wait: whatever they are, they take turns with this.
pub async fn yield_to_tasks(runtime: &Arc<dyn Runtime>) {
    for _ in 0..3 {
        spawn(runtime, async {}).await.unwrap();
    }
}

/// A task that is polled by hand, and only when it was woken: as a runtime does it.
pub struct Task<'a> {
    future: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    woken: Arc<Woken>,
}

#[derive(Default)]
pub struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl Woken {
    pub fn take(&self) -> bool {
        self.0.swap(false, SeqCst)
    }
}

impl<'a> Task<'a> {
    pub fn new(future: impl Future<Output = ()> + 'a) -> Self {
        let woken = Arc::new(Woken::default());
        woken.0.store(true, SeqCst);
        Self {
            future: Some(Box::pin(future)),
            woken,
        }
    }

    pub fn is_done(&self) -> bool {
        self.future.is_none()
    }

    /// Polls once if the task was woken; returns whether it was.
    pub fn run(&mut self) -> bool {
        let Some(future) = self.future.as_mut().filter(|_| self.woken.take()) else {
            return false;
        };
        let waker = Waker::from(Arc::clone(&self.woken));
        if future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            self.future = None;
        }
        true
    }
}

/// A waker of its own, and whether it was woken.
pub fn waker() -> (Waker, Arc<Woken>) {
    let woken = Arc::new(Woken::default());
    (Waker::from(Arc::clone(&woken)), woken)
}

/// Polls once, with a waker.
pub fn poll_with<T>(waker: &Waker, future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(waker))
}

/// Checks that a future waits.
pub fn assert_pending(mut future: impl Future + Unpin) {
    let (waker, _) = waker();
    let polled = poll_with(&waker, Pin::new(&mut future));
    assert!(polled.is_pending(), "the future does not wait");
}
