//! A bound on how long an operation may take, kept by a runtime's timer.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{NoTimers, Runtime, Sleep};
use crate::sync::Exclusive;

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
    pub(crate) fn check(self, runtime: Option<&Arc<dyn Runtime>>) -> Result<(), NoTimers> {
        match self {
            Self::Configured(_) if !has_timers(runtime) => Err(NoTimers),
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
    ///
    /// From its second poll on the timer is asked first: tokio gives a task a budget, and a future
    /// that always uses it up would leave none for the timer, which then never fires.
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
