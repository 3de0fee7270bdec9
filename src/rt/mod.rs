//! The async runtime as a value: spawning, timers and the clock.
//!
//! A [`Runtime`] is handed over once and kept in an `Arc`. The features `rt-tokio` and `rt-smol`
//! only compile the ready-made ones, `TokioRuntime` and `SmolRuntime`; any other runtime
//! implements the trait in some fifty lines, as `examples/own_runtime.rs` does.

use std::{fmt::Debug, future::Future, pin::Pin, sync::Arc, time::Instant};

use futures_core::future::BoxFuture;

mod deadline;
#[cfg(feature = "rt-smol")]
mod smol;
#[cfg(feature = "rt-tokio")]
mod tokio;
mod wait;

pub(crate) use self::deadline::{Deadline, Timeout, has_timers};
#[cfg(feature = "rt-smol")]
#[cfg_attr(docsrs, doc(cfg(feature = "rt-smol")))]
pub use self::smol::SmolRuntime;
#[cfg(feature = "rt-tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "rt-tokio")))]
pub use self::tokio::TokioRuntime;
pub use self::wait::{NoTimers, TimeoutError, sleep, timeout};

/// Runs tasks and timers for the sockets that were given it.
///
/// The trait is object-safe: sockets hold an `Arc<dyn Runtime>`.
pub trait Runtime: Debug + Send + Sync + 'static {
    /// Drives `task` to its end in the background.
    ///
    /// The task is detached: there is nothing whose drop would cancel it. This is called from any
    /// thread, also from a destructor, and must neither block nor panic. A panic of the task must
    /// not reach other tasks; the handlers that this crate spawns have their panics caught already.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Returns a timer that fires once `deadline` is reached, and that can be moved.
    ///
    /// It is called only if [`has_timers`](Self::has_timers) says `true`.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>>;

    /// Returns the current time of the runtime's clock; the default is [`Instant::now`].
    ///
    /// A runtime whose time can be paused or moved in tests answers with that time.
    #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Tells whether [`sleep_until`](Self::sleep_until) works; the default is `true`.
    ///
    /// Without timers the default timeouts of this crate are off, and one that the user set is an
    /// error of the kind [`Error::NoRuntime`](crate::Error::NoRuntime).
    fn has_timers(&self) -> bool {
        true
    }
}

/// A timer of a [`Runtime`].
pub trait Sleep: Future<Output = ()> + Send {
    /// Moves the deadline; a timer that has fired is armed again.
    ///
    /// The caller polls again afterwards: nobody is woken at the new deadline before.
    fn reset(self: Pin<&mut Self>, deadline: Instant);
}

/// Returns the runtime that the calling code runs on, as far as the features tell.
///
/// That is tokio inside a tokio context (feature `rt-tokio`), else smol's global executor (feature
/// `rt-smol`), else `None`. With both features on, code on smol threads gets smol and code inside
/// tokio gets tokio. It is the one visible effect of a runtime feature.
///
/// A runtime given by [`WebSocketUpgrade::runtime`](crate::WebSocketUpgrade::runtime),
/// [`WebSocketConfig::set_runtime`](crate::WebSocketConfig::set_runtime) or the request's
/// extensions comes before this one.
#[must_use]
pub fn detect() -> Option<Arc<dyn Runtime>> {
    DETECTORS.iter().find_map(|detect| detect())
}

/// The ready-made runtimes, in the order in which they are asked: tokio knows whether it is there,
/// smol always is.
#[expect(clippy::type_complexity, reason = "a name for it would say no more")]
const DETECTORS: &[fn() -> Option<Arc<dyn Runtime>>] = &[
    #[cfg(feature = "rt-tokio")]
    tokio::current,
    #[cfg(feature = "rt-smol")]
    smol::current,
];
