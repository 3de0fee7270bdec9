//! The async runtime as a value: spawning, timers and the clock.
//!
//! Pass a [`Runtime`] once, in an `Arc`. The features `rt-tokio` and `rt-smol` only compile the
//! ready-made ones, `TokioRuntime` and `SmolRuntime`. Any other runtime implements the trait in
//! about fifty lines, as `examples/own_runtime.rs` does.

use std::{any::Any, fmt::Debug, future::Future, pin::Pin, ptr, sync::Arc, time::Instant};

use futures_core::future::BoxFuture;

mod deadline;
#[cfg(feature = "client")]
mod network;
#[cfg(feature = "rt-smol")]
mod smol;
#[cfg(feature = "rt-tokio")]
mod tokio;
mod wait;

pub(crate) use self::deadline::{Deadline, Timeout, has_timers};
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use self::network::{Network, detect_network};
#[cfg(feature = "rt-smol")]
#[cfg_attr(docsrs, doc(cfg(feature = "rt-smol")))]
pub use self::smol::SmolRuntime;
#[cfg(feature = "rt-tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "rt-tokio")))]
pub use self::tokio::TokioRuntime;
pub use self::wait::{NoTimers, TimeoutError, sleep, timeout};

/// Runs tasks and timers for sockets.
///
/// The trait is object-safe: sockets hold an `Arc<dyn Runtime>`.
pub trait Runtime: Any + Debug + Send + Sync + 'static {
    /// Drives `task` to its end in the background.
    ///
    /// The task is detached: it has no handle whose drop would cancel it. This method is called
    /// from any thread, also from destructors, and must neither block nor panic. A panic of the
    /// task must not reach other tasks; this crate already catches the panics of the handlers that
    /// it spawns.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Returns a timer that fires when `deadline` is reached. The deadline can be moved.
    ///
    /// This method is called only if [`has_timers`](Self::has_timers) returns `true`.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>>;

    /// Returns the current time of the runtime's clock; the default is [`Instant::now`].
    ///
    /// A runtime whose time can be paused or moved in tests returns that time.
    #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Returns whether [`sleep_until`](Self::sleep_until) works; the default is `true`.
    ///
    /// Without timers, the default timeouts of this crate are off. A timeout that the user set is
    /// then [`Error::NoRuntime`](crate::Error::NoRuntime).
    fn has_timers(&self) -> bool {
        true
    }

    /// Returns a number that is the same for all values that stand for one runtime; the default is
    /// this value's address.
    ///
    /// Sockets whose runtimes have the same type and the same identity share one clock, which is
    /// one task. If you create a value for each request, return a constant, or an identifier of the
    /// runtime behind it; otherwise each of them gets a clock of its own.
    fn identity(&self) -> u64 {
        ptr::from_ref(self).cast::<()>().addr() as u64
    }
}

/// A timer of a [`Runtime`].
pub trait Sleep: Future<Output = ()> + Send {
    /// Moves the deadline, and arms a timer that has fired again.
    ///
    /// The caller polls again afterwards. Until that poll, nobody is woken at the new deadline.
    fn reset(self: Pin<&mut Self>, deadline: Instant);
}

/// Returns the runtime that the calling code runs on, among those that the features enable.
///
/// It returns tokio inside a tokio context (feature `rt-tokio`), else smol's global executor
/// (feature `rt-smol`), else `None`. With both features, code on smol threads gets smol and code
/// inside tokio gets tokio. This is the only observable effect of a runtime feature.
///
/// A runtime from [`WebSocketUpgrade::runtime`](crate::WebSocketUpgrade::runtime),
/// [`WebSocketConfig::set_runtime`](crate::WebSocketConfig::set_runtime) or the request's
/// extensions takes precedence.
#[must_use]
pub fn detect() -> Option<Arc<dyn Runtime>> {
    DETECTORS.iter().find_map(|detect| detect())
}

/// Returns the time of `runtime`, or of the system if there is none.
pub(crate) fn now(runtime: Option<&Arc<dyn Runtime>>) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
    runtime.map_or_else(Instant::now, |runtime| runtime.now())
}

/// The ready-made runtimes, in the order in which they are tried: tokio knows whether it is
/// running, and smol always is.
#[expect(clippy::type_complexity, reason = "a name for it would say no more")]
const DETECTORS: &[fn() -> Option<Arc<dyn Runtime>>] = &[
    #[cfg(feature = "rt-tokio")]
    tokio::current,
    #[cfg(feature = "rt-smol")]
    smol::current,
];
