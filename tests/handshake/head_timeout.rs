//! The deadline for the head of a request, on a stream of the test's own.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyws::{Error, HeadError, Rejection};
use futures::{AsyncRead, AsyncWrite};
use support::{config, runtimes};

const SHORT: Duration = Duration::from_millis(50);

/// A client whose second byte arrives at the moment at which the deadline passes, and which is
/// silent from then on. Nothing but the deadline wakes the task.
#[derive(Default)]
struct Dribbling {
    polls: usize,
}

impl AsyncRead for Dribbling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.polls += 1;
        let byte = match self.polls {
            1 => b'G',
            3 => b'E',
            _ => return Poll::Pending,
        };
        buf[0] = byte;
        Poll::Ready(Ok(1))
    }
}

impl AsyncWrite for Dribbling {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

runtimes! {
    /// A timer of smol fires once, and that was lost on the byte that came with it.
    async fn a_byte_that_comes_with_the_deadline_does_not_lift_it(rt) {
        let config = config(&rt).set_head_timeout(SHORT);
        let accepted = anyws::accept(Dribbling::default(), config).await;
        let timeout = Rejection::Head(HeadError::Timeout);
        assert!(matches!(accepted, Err(Error::Rejected(ref it)) if *it == timeout), "{accepted:?}");
    }
}
