//! Waiting on any runtime that a socket runs on: a sleep, and a timeout for another future.

use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use futures_core::future::FusedFuture;

use super::{Deadline, Runtime, Timeout};
use crate::future::PollFn;

/// The runtime has no timers; see [`Runtime::has_timers`].
///
/// It converts into [`Error::NoRuntime`](crate::Error::NoRuntime).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the async runtime has no timers: build it with timers, or pass another `Runtime`")]
#[non_exhaustive]
pub struct NoTimers;

/// Why [`timeout`] returned no output.
///
/// It converts into [`Error::Timeout`](crate::Error::Timeout) or
/// [`Error::NoRuntime`](crate::Error::NoRuntime).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeoutError {
    /// The future did not finish in time.
    #[error("the future was not ready in time")]
    Elapsed,
    /// The runtime has no timers, and the future was not polled.
    #[error("{NoTimers}")]
    NoTimers,
}

impl From<NoTimers> for TimeoutError {
    fn from(_: NoTimers) -> Self {
        Self::NoTimers
    }
}

/// Waits for `duration`, on any runtime.
///
/// The time starts with this call, not with the first poll. A duration beyond what the clock can
/// express never ends. A duration of zero ends as soon as the runtime's timer fires: tokio's rounds
/// up to a whole millisecond.
///
/// This handler sends a message every second, and names no runtime:
///
/// ```
/// use std::time::Duration;
///
/// use anyws::{Error, WebSocket, rt};
/// use futures::select;
///
/// async fn push(mut socket: WebSocket) -> anyws::Result<()> {
///     let runtime = socket.runtime().ok_or(Error::NoRuntime)?;
///     loop {
///         select! {
///             closed = socket.closed() => return closed,
///             slept = rt::sleep(&runtime, Duration::from_secs(1)) => slept?,
///         }
///         socket.send("another second".into()).await?;
///     }
/// }
/// # #[cfg(feature = "rt-smol")] {
/// # futures::executor::block_on(async {
/// #     let (socket, mut client) = anyws::testing::pair();
/// #     let ends = async {
/// #         assert!(client.next().await.unwrap().unwrap().is_text());
/// #         client.close(None).await.unwrap();
/// #     };
/// #     futures::join!(push(socket), ends).0.unwrap();
/// # });
/// # }
/// ```
///
/// # Errors
///
/// [`NoTimers`] at once if the runtime has no timers.
///
/// # Cancel safety
///
/// Dropping the future drops the timer. If it is polled by reference, for instance in a `select!`
/// in a loop, it keeps its deadline.
pub fn sleep(
    runtime: &Arc<dyn Runtime>,
    duration: Duration,
) -> impl FusedFuture<Output = Result<(), NoTimers>> + Send + Unpin + use<> {
    let mut deadline = deadline(runtime, duration);
    PollFn::new(move |cx| match &mut deadline {
        Ok(deadline) => deadline.poll_passed(cx).map(Ok),
        Err(error) => Poll::Ready(Err(*error)),
    })
}

/// Drives `future` for at most `duration`, on any runtime.
///
/// The time starts with this call, not with the first poll. If the output is ready when the time is
/// up, it is returned. A duration beyond what the clock can express never ends. With a duration of
/// zero, the future is polled at least once, and again if the timer takes a moment, as tokio's
/// does.
///
/// This handler pings a client that has been silent for 20 seconds.
/// [`set_keepalive`](crate::WebSocketConfig::set_keepalive) does the same without code, and gives
/// up a client that does not answer:
///
/// ```
/// use std::time::Duration;
///
/// use anyws::{Error, Message, WebSocket, rt};
///
/// async fn receive(mut socket: WebSocket) -> anyws::Result<()> {
///     let runtime = socket.runtime().ok_or(Error::NoRuntime)?;
///     loop {
///         match rt::timeout(&runtime, Duration::from_secs(20), socket.next()).await {
///             Ok(Some(message)) => println!("{}", message?),
///             Ok(None) => return Ok(()),
///             Err(rt::TimeoutError::Elapsed) => {
///                 socket.send(Message::Ping("still there?".into())).await?;
///             }
///             Err(error) => return Err(error.into()),
///         }
///     }
/// }
/// ```
///
/// # Errors
///
/// [`TimeoutError::Elapsed`] if the future does not finish in time; the future is dropped.
/// [`TimeoutError::NoTimers`] at once if the runtime has no timers; the future is not polled.
///
/// # Cancel safety
///
/// Dropping this future drops `future`, as the timeout does. What that loses depends on `future`.
/// The futures of this crate lose nothing, as their documentation says.
pub fn timeout<F: Future>(
    runtime: &Arc<dyn Runtime>,
    duration: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, TimeoutError>> + use<F> {
    let deadline = deadline(runtime, duration);
    async move {
        let output = deadline?.bound(pin!(future)).await;
        output.ok_or(TimeoutError::Elapsed)
    }
}

/// Returns the deadline that is `duration` from now.
fn deadline(runtime: &Arc<dyn Runtime>, duration: Duration) -> Result<Deadline, NoTimers> {
    Timeout::Configured(duration).check(Some(runtime))?;
    Ok(Deadline::start(duration, Some(runtime)))
}
