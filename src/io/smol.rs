//! smol's TCP streams, read without needless system calls.

use std::{
    any::Any,
    io::{self, IoSlice, Read},
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};
use smol::{Async, net::TcpStream};

use super::BoxIo;

/// A TCP stream that, after a short read, is not read again before there is something to read.
///
/// A read that does not fill the buffer has emptied the socket. smol's own stream would make one
/// more system call for each wait, only to learn that nothing has arrived. It also keeps a listener
/// for each direction, where one waker is enough.
struct SmolIo {
    stream: Arc<Async<std::net::TcpStream>>,
    is_empty: bool,
}

/// Takes a `TcpStream` of smol out of its slot.
pub(super) fn specialize(io: &mut dyn Any) -> Option<BoxIo> {
    let stream = io.downcast_mut::<Option<TcpStream>>()?.take()?;
    Some(Box::new(SmolIo {
        stream: stream.into(),
        is_empty: false,
    }))
}

impl AsyncRead for SmolIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.is_empty {
                ready!(self.stream.poll_readable(cx))?;
                self.is_empty = false;
            }
            match self.stream.get_ref().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_empty = true,
                Ok(length) => {
                    // A read of 0 bytes is the end of the stream, which is returned as often as it
                    // is read.
                    self.is_empty = (1..buf.len()).contains(&length);
                    return Poll::Ready(Ok(length));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for SmolIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.get_ref().shutdown(Shutdown::Write))
    }
}
