//! A byte stream that knows how much is waiting to be written to it.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};

use crate::io::BoxIo;

/// Counts what is staged for the stream: added by frame, taken off as bytes are written.
///
/// A pong that tungstenite drops in favour of a later one is counted although it is never written;
/// the next complete flush forgets it.
pub(super) struct Metered {
    io: BoxIo,
    staged: usize,
}

impl Metered {
    pub(super) fn new(io: BoxIo) -> Self {
        Self { io, staged: 0 }
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
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.staged = self.staged.saturating_sub(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs))?;
        self.staged = self.staged.saturating_sub(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered")
            .field("staged", &self.staged)
            .finish_non_exhaustive()
    }
}
