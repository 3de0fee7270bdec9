//! Futures that the deadline of a drain drops.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::seats::Seat;

pin_project! {
    /// A future that is dropped, and returns `None`, once the deadline of a drain has passed.
    #[must_use = "futures do nothing unless they are polled"]
    pub(crate) struct Guarded<F> {
        #[pin]
        future: Option<F>,
        seat: Seat,
    }
}

impl<F> Guarded<F> {
    pub(crate) fn new(future: F, seat: Seat) -> Self {
        let future = Some(future);
        Self { future, seat }
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let output = if this.seat.poll_abort(cx.waker()).is_ready() {
            None
        } else {
            match this.future.as_mut().as_pin_mut().map(|it| it.poll(cx)) {
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(output)) => Some(output),
                None => None,
            }
        };
        // Before the task counts as ended: its sockets close now.
        this.future.set(None);
        this.seat.release().tell();
        Poll::Ready(output)
    }
}
