//! A bound on how long an operation may take, kept by a runtime's timer.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{Runtime, Sleep};
use crate::{Error, sync::Exclusive};

/// A duration that knows who chose it.
///
/// Where there are no timers, a default is off, but what the user asked for is never ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    Default(Duration),
    Configured(Duration),
}

impl Timeout {
    fn duration(self) -> Duration {
        match self {
            Self::Default(duration) | Self::Configured(duration) => duration,
        }
    }

    /// Tells whether `runtime` can keep this timeout as far as the user insists on it.
    pub(crate) fn check(self, runtime: Option<&Arc<dyn Runtime>>) -> Result<(), Error> {
        match self {
            Self::Configured(_) if !has_timers(runtime) => Err(Error::NoRuntime),
            _ => Ok(()),
        }
    }
}

/// The moment at which an operation is given up; without timers it never comes.
pub(crate) struct Deadline {
    sleep: Option<Exclusive<Pin<Box<dyn Sleep>>>>,
}

impl Deadline {
    /// Starts the clock: the deadline is `timeout` from now.
    pub(crate) fn start(timeout: Timeout, runtime: Option<&Arc<dyn Runtime>>) -> Self {
        let sleep = runtime
            .filter(|runtime| runtime.has_timers())
            .and_then(|runtime| {
                // A duration beyond what the clock can express is as good as no deadline.
                let deadline = runtime.now().checked_add(timeout.duration())?;
                Some(Exclusive::new(runtime.sleep_until(deadline)))
            });
        Self { sleep }
    }

    /// Drives `future` until the deadline; `None` if that comes first.
    pub(crate) async fn bound<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll_passed(cx).map(|()| None),
        })
        .await
    }

    /// Is ready once the deadline has passed.
    pub(crate) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => sleep.get_mut().as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

/// Tells whether there is a runtime that can wait for a deadline.
pub(crate) fn has_timers(runtime: Option<&Arc<dyn Runtime>>) -> bool {
    runtime.is_some_and(|runtime| runtime.has_timers())
}
