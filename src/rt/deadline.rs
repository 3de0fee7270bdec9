//! Limits on how long an operation may take, with a runtime's timer.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{NoTimers, Runtime, Sleep};
use crate::sync::Exclusive;

/// A duration, and whether it is a default or the user's.
///
/// Without timers a default is off, but a timeout that the user set is never ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    Default(Duration),
    Configured(Duration),
}

impl Timeout {
    pub(crate) fn duration(self) -> Duration {
        match self {
            Self::Default(duration) | Self::Configured(duration) => duration,
        }
    }

    /// Returns an error if the user set this timeout and `runtime` has no timers.
    pub(crate) fn check(self, runtime: Option<&Arc<dyn Runtime>>) -> Result<(), NoTimers> {
        match self {
            Self::Configured(_) if !has_timers(runtime) => Err(NoTimers),
            _ => Ok(()),
        }
    }
}

/// The moment at which an operation is given up.
pub(crate) enum Deadline {
    /// It never comes: there are no timers, or the clock cannot express it.
    Never,
    Ahead(Exclusive<Pin<Box<dyn Sleep>>>),
    /// A timer need not be ready again after it has fired, and smol's is not.
    Passed,
}

impl Deadline {
    /// Starts the clock: the deadline is `timeout` from now.
    pub(crate) fn start(timeout: Duration, runtime: Option<&Arc<dyn Runtime>>) -> Self {
        let sleep = runtime
            .filter(|runtime| runtime.has_timers())
            .and_then(|runtime| {
                // A duration beyond what the clock can express is the same as no deadline.
                let deadline = runtime.now().checked_add(timeout)?;
                Some(Exclusive::new(runtime.sleep_until(deadline)))
            });
        sleep.map_or(Self::Never, Self::Ahead)
    }

    /// Starts the clock again, with the same timer if there is one.
    pub(crate) fn restart(&mut self, timeout: Duration, runtime: Option<&Arc<dyn Runtime>>) {
        let deadline = runtime.and_then(|runtime| runtime.now().checked_add(timeout));
        match (&mut *self, deadline) {
            (Self::Ahead(sleep), Some(deadline)) => sleep.get_mut().as_mut().reset(deadline),
            _ => *self = Self::start(timeout, runtime),
        }
    }

    /// Drives `future` until the deadline; returns `None` if the deadline comes first.
    ///
    /// From the second poll on, it polls the timer first. tokio gives a task a budget, and a future
    /// that always uses it up would leave none for the timer, which would never fire.
    pub(crate) fn bound<F: Future + Unpin>(
        &mut self,
        mut future: F,
    ) -> impl Future<Output = Option<F::Output>> {
        let mut has_waited = false;
        poll_fn(move |cx| {
            let mut has_passed = has_waited && self.poll_passed(cx).is_ready();
            if let Poll::Ready(output) = Pin::new(&mut future).poll(cx) {
                return Poll::Ready(Some(output));
            }
            if !has_waited {
                has_waited = true;
                has_passed = self.poll_passed(cx).is_ready();
            }
            if has_passed {
                Poll::Ready(None)
            } else {
                Poll::Pending
            }
        })
    }

    /// Waits until the deadline has passed. Once it has, it stays so.
    pub(crate) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Never => return Poll::Pending,
            Self::Ahead(sleep) => ready!(sleep.get_mut().as_mut().poll(cx)),
            Self::Passed => {}
        }
        *self = Self::Passed;
        Poll::Ready(())
    }
}

/// Returns whether there is a runtime with timers.
pub(crate) fn has_timers(runtime: Option<&Arc<dyn Runtime>>) -> bool {
    runtime.is_some_and(|runtime| runtime.has_timers())
}
