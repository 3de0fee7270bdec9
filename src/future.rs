//! The futures that the methods of a socket return.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::future::FusedFuture;

/// A future that a closure polls, as in [`std::future::poll_fn`].
///
/// Unlike `poll_fn`, it is inlined into the handler that awaits it, which saves a move of the
/// message. It is also fused, as `futures::select!` requires.
pub(crate) struct PollFn<F> {
    poll: F,
    is_terminated: bool,
}

impl<F> PollFn<F> {
    #[inline]
    pub(crate) fn new<T>(poll: F) -> Self
    where
        F: FnMut(&mut Context<'_>) -> Poll<T>,
    {
        Self {
            poll,
            is_terminated: false,
        }
    }

    /// Creates a future that is terminated from the beginning if its stream is.
    #[inline]
    pub(crate) fn of_stream<T>(is_terminated: bool, poll: F) -> Self
    where
        F: FnMut(&mut Context<'_>) -> Poll<T>,
    {
        Self {
            poll,
            is_terminated,
        }
    }
}

/// The closure is never pinned.
impl<F> Unpin for PollFn<F> {}

impl<T, F: FnMut(&mut Context<'_>) -> Poll<T>> Future for PollFn<F> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let polled = (self.poll)(cx);
        self.is_terminated = polled.is_ready();
        polled
    }
}

impl<T, F: FnMut(&mut Context<'_>) -> Poll<T>> FusedFuture for PollFn<F> {
    fn is_terminated(&self) -> bool {
        self.is_terminated
    }
}
