//! The runtime for tokio.

use std::{
    any::Any,
    cell::Cell,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures_core::future::BoxFuture;
use pin_project_lite::pin_project;
use tokio::runtime::{Handle, Id, TryCurrentError};

use super::{Runtime, Sleep};

#[cfg(feature = "client")]
mod network;

#[cfg(feature = "client")]
pub(super) use self::network::current_network;

/// A runtime that spawns and sleeps on a tokio runtime, of either flavour.
///
/// It keeps a [`Handle`], so it works from any thread, including threads outside tokio. It honours
/// tokio's paused time.
///
/// A tokio runtime that was built without `enable_time` has no timers. tokio reports that only by a
/// panic. The panic is caught, but the panic hook prints it, once on each thread that asks for a
/// timer. If panics abort the process, this one does too.
#[derive(Clone, Debug)]
pub struct TokioRuntime {
    handle: Handle,
}

thread_local! {
    /// Whether the runtime that was asked for last has timers. Asking takes as long as making a
    /// timer, and [`detect`](super::detect) makes a new `TokioRuntime` for each socket.
    static HAS_TIMERS: Cell<Option<(Id, bool)>> = const { Cell::new(None) };
}

impl TokioRuntime {
    /// Uses the runtime behind `handle`.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Uses the tokio runtime that the calling code runs on.
    ///
    /// # Errors
    ///
    /// If the caller is outside a tokio context.
    pub fn current() -> Result<Self, TryCurrentError> {
        Handle::try_current().map(Self::new)
    }
}

impl From<Handle> for TokioRuntime {
    fn from(handle: Handle) -> Self {
        Self::new(handle)
    }
}

impl Runtime for TokioRuntime {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.handle.spawn(task);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is tokio's side of Runtime::sleep_until"
    )]
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let _context = self.handle.enter();
        Box::pin(TokioSleep {
            sleep: tokio::time::sleep_until(deadline.into()),
        })
    }

    fn now(&self) -> Instant {
        let _context = self.handle.enter();
        tokio::time::Instant::now().into_std()
    }

    fn has_timers(&self) -> bool {
        let id = self.handle.id();
        let known = HAS_TIMERS.try_with(Cell::get).ok().flatten();
        if let Some((_, has_timers)) = known.filter(|(known, _)| *known == id) {
            return has_timers;
        }
        let probe = AssertUnwindSafe(|| drop(self.sleep_until(self.now())));
        let has_timers = catch_unwind(probe).is_ok();
        // On a thread that ends, it is asked again.
        let _ = HAS_TIMERS.try_with(|known| known.set(Some((id, has_timers))));
        has_timers
    }

    fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.handle.id().hash(&mut hasher);
        hasher.finish()
    }
}

/// A part of tokio's panic message when its runtime was shut down. The message says that the
/// runtime "is being shutdown", or, if that happens during the call, that "the timer is shutdown".
/// tokio guarantees neither text; a test in `tests/runtimes/contract.rs` fails if they change.
const SHUT_DOWN: &str = "shutdown";

pin_project! {
    struct TokioSleep {
        #[pin]
        sleep: tokio::time::Sleep,
    }
}

impl Future for TokioSleep {
    type Output = ();

    /// tokio panics if its runtime was shut down. No timer fires any more, so whatever waits for
    /// one is given up at once.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.project().sleep;
        let polled = catch_unwind(AssertUnwindSafe(|| sleep.poll(cx)));
        polled.unwrap_or_else(|panic| {
            if is_shutdown(&*panic) {
                Poll::Ready(())
            } else {
                resume_unwind(panic)
            }
        })
    }
}

/// Returns whether tokio has panicked because its runtime was shut down.
fn is_shutdown(panic: &(dyn Any + Send)) -> bool {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.is_some_and(|text| text.contains(SHUT_DOWN))
}

impl Sleep for TokioSleep {
    fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.project().sleep.reset(deadline.into());
    }
}

pub(super) fn current() -> Option<Arc<dyn Runtime>> {
    TokioRuntime::current()
        .ok()
        .map(|runtime| Arc::new(runtime) as Arc<dyn Runtime>)
}
