//! Plain reads and writes, for the opening handshake.

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::{BoxIo, overrun, retry};

/// How many bytes one read requests: one page holds nearly every head.
const READ_SIZE: usize = 4096;

/// Reads once, and passes the bytes to `take`; there are none at the end of the stream.
///
/// They are on the stack of a poll. The socket's handler runs in the same task, so in the future
/// they would cost each socket that memory for its whole life.
pub(crate) fn poll_read_with<T>(
    io: &mut BoxIo,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    let mut chunk = [0; READ_SIZE];
    let length = ready!(retry(Pin::new(io).poll_read(cx, &mut chunk), cx))?;
    Poll::Ready(chunk.get(..length).map(take).ok_or_else(overrun))
}

/// Writes all of `bytes` and flushes.
pub(crate) async fn write_all(io: &mut BoxIo, mut bytes: &[u8]) -> io::Result<()> {
    poll_fn(|cx| poll_write_all(io, cx, &mut bytes)).await
}

/// Writes what is left in `bytes` and flushes. While it is pending, `bytes` has what is still to be
/// written.
pub(crate) fn poll_write_all(
    io: &mut BoxIo,
    cx: &mut Context<'_>,
    bytes: &mut &[u8],
) -> Poll<io::Result<()>> {
    while !bytes.is_empty() {
        let written = ready!(retry(Pin::new(&mut *io).poll_write(cx, bytes), cx))?;
        *bytes = match bytes.get(written..) {
            Some(_) if written == 0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
            Some(rest) => rest,
            None => return Poll::Ready(Err(overrun())),
        };
    }
    retry(Pin::new(io).poll_flush(cx), cx)
}
