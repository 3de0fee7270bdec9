//! A byte stream that knows how much is waiting to be written to it.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};

use crate::io::BoxIo;

/// Reads in a row after which others get a turn. They are counted across polls: a handler that loops
/// on `next` would not yield either where the runtime has no budget of its own, as smol has none.
const READ_BUDGET: usize = 32;

/// Counts what is staged for the stream: added by frame, taken off as bytes are written.
///
/// A pong that tungstenite drops in favour of a later one is counted although it is never written;
/// the next complete flush forgets it.
///
/// Its writes do not fail: tungstenite writes a pong before it reads on, and an error would keep it
/// from what has arrived. The error waits for [`take_failure`](Self::take_failure).
pub(super) struct Metered {
    io: BoxIo,
    staged: usize,
    /// Reads in a row that did not wait.
    reads: usize,
    failure: Option<io::Error>,
    /// The write side was shut down.
    closed: bool,
}

impl Metered {
    pub(super) fn new(io: BoxIo) -> Self {
        Self {
            io,
            staged: 0,
            reads: 0,
            failure: None,
            closed: false,
        }
    }

    /// Returns the bytes that wait to be written.
    pub(super) fn staged(&self) -> usize {
        self.staged
    }

    pub(super) fn add_staged(&mut self, length: usize) {
        self.staged += length;
    }

    /// Everything was written, or never will be.
    pub(super) fn forget_staged(&mut self) {
        self.staged = 0;
    }

    /// Returns why a write has failed.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.reads == READ_BUDGET {
            self.reads = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.reads = if read.is_ready() { self.reads + 1 } else { 0 };
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf));
        let written = written.unwrap_or_else(|error| {
            self.failure = Some(error);
            buf.len()
        });
        self.staged = self.staged.saturating_sub(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Err(error) = ready!(Pin::new(&mut self.io).poll_flush(cx)) {
            self.failure = Some(error);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever drains the stream asks for it at every poll.
        if !self.closed {
            ready!(Pin::new(&mut self.io).poll_close(cx))?;
            self.closed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered")
            .field("staged", &self.staged)
            .finish_non_exhaustive()
    }
}
