//! The runtime for smol.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::Instant,
};

use futures_core::future::BoxFuture;
use smol::{Executor, Timer};

use super::{Runtime, Sleep};

#[cfg(feature = "client")]
mod network;

#[cfg(feature = "client")]
pub(super) use self::network::current_network;

/// A runtime that spawns on smol's global executor, or on one that you pass, and sleeps with
/// async-io's timers.
#[derive(Clone, Debug, Default)]
pub struct SmolRuntime {
    /// Weak: the executor's tasks hold this runtime, and would otherwise keep the executor and
    /// themselves alive.
    executor: Option<Weak<Executor<'static>>>,
}

impl SmolRuntime {
    /// Uses smol's global executor. smol starts its threads itself (`SMOL_THREADS`, default 1).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses `executor`, which the user runs on their own threads.
    ///
    /// The runtime does not keep the executor alive. When the user drops it, its tasks are dropped;
    /// tasks that are spawned later are dropped at once.
    #[must_use]
    pub fn with_executor(executor: &Arc<Executor<'static>>) -> Self {
        Self {
            executor: Some(Arc::downgrade(executor)),
        }
    }
}

impl Runtime for SmolRuntime {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is smol's side of Runtime::spawn"
    )]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let task = match &self.executor {
            Some(executor) => match executor.upgrade() {
                Some(executor) => executor.spawn(task),
                None => return,
            },
            None => smol::spawn(task),
        };
        // smol cancels a task when its handle is dropped.
        task.detach();
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(SmolSleep(Timer::at(deadline)))
    }

    /// Returns 0 for the global executor, else the address of the executor. The weak pointer keeps
    /// that address from being used again.
    fn identity(&self) -> u64 {
        let executor = self.executor.as_ref();
        executor.map_or(0, |executor| executor.as_ptr().addr() as u64)
    }
}

struct SmolSleep(Timer);

impl Future for SmolSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(())
    }
}

impl Sleep for SmolSleep {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.0.set_at(deadline);
    }
}

#[expect(clippy::unnecessary_wraps, reason = "other runtimes may be absent")]
pub(super) fn current() -> Option<Arc<dyn Runtime>> {
    Some(Arc::new(SmolRuntime::new()))
}
