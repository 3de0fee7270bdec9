//! A runtime on which nothing moves: it never runs a task, and its timers, if any, never fire.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Instant,
};

use anyws::{Runtime, Sleep, WebSocketConfig};
use futures::future::BoxFuture;

/// The runtime; its tasks are dropped at once, or kept for the test.
#[derive(Clone)]
pub struct Still {
    tasks: Option<Arc<Mutex<Vec<BoxFuture<'static, ()>>>>>,
    has_timers: bool,
}

/// It has timers, and drops tasks.
impl Default for Still {
    fn default() -> Self {
        Self {
            tasks: None,
            has_timers: true,
        }
    }
}

impl Still {
    /// Keeps the tasks.
    pub fn keeping() -> Self {
        Self {
            tasks: Some(Arc::default()),
            ..Self::default()
        }
    }

    /// Has no timers.
    pub fn without_timers() -> Self {
        Self {
            has_timers: false,
            ..Self::default()
        }
    }

    /// Returns the tasks that were spawned since the last call.
    pub fn tasks(&self) -> Vec<BoxFuture<'static, ()>> {
        let tasks = self.tasks.as_ref().expect("it keeps its tasks");
        mem::take(&mut tasks.lock().unwrap())
    }

    /// Returns the default settings on this runtime.
    pub fn config(&self) -> WebSocketConfig {
        WebSocketConfig::new().set_runtime(Arc::new(self.clone()))
    }
}

impl fmt::Debug for Still {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Still").finish_non_exhaustive()
    }
}

impl Runtime for Still {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        if let Some(tasks) = &self.tasks {
            tasks.lock().unwrap().push(task);
        }
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Never)
    }

    fn has_timers(&self) -> bool {
        self.has_timers
    }
}

struct Never;

impl Future for Never {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for Never {
    fn reset(self: Pin<&mut Self>, _: Instant) {}
}
