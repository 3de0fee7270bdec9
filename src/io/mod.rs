//! Byte streams that a socket reads from and writes to.
//!
//! This crate uses the traits of `futures-io`. Streams of smol implement them. For the traits of
//! tokio and hyper, `TokioIo` and `HyperIo` are adapters, in this direction only.
//!
//! With feature `rt-smol`, a `smol::net::TcpStream` is recognised when you pass it, and is read
//! with fewer system calls. An `async_io::Async` or a stream in a wrapper is not recognised.

use std::{
    any::Any,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

#[cfg(feature = "hyper")]
mod hyper;
mod raw;
#[cfg(feature = "rt-smol")]
mod smol;
#[cfg(feature = "rt-tokio")]
mod tokio;

#[cfg(feature = "hyper")]
#[cfg_attr(docsrs, doc(cfg(feature = "hyper")))]
pub use self::hyper::HyperIo;
#[cfg(feature = "client")]
pub(crate) use self::raw::poll_write_all;
pub(crate) use self::raw::{poll_read_with, write_all};
#[cfg(feature = "rt-tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "rt-tokio")))]
pub use self::tokio::TokioIo;

/// A byte stream that a WebSocket can use; every type with these supertraits implements it.
///
/// # Reading
///
/// `poll_read` has to return exactly how many bytes it has put into the buffer. The buffer is
/// shared: after those bytes, it holds bytes that other sockets of the thread have read. 0 is the
/// end of the stream. A stream that returns more than the length of the buffer, here or in
/// `poll_write`, counts as failed.
///
/// # Writing
///
/// A stream should implement `poll_write_vectored` if the stream below it does. Many small frames,
/// and the large payloads between them, which are not copied, then leave in one call. The default
/// implementation writes only the first slice. As long as it does so, a socket copies the first 16
/// KiB of each large payload behind its header, so that no write is small. `poll_flush` is called
/// once everything that is buffered was written, and again if a signal interrupted it.
///
/// # Wakers
///
/// As usual, a stream keeps one waker for each direction, the one of the last poll. A write must
/// not replace the waker that waits for a read.
///
/// # Closing
///
/// `poll_close` shuts down the write side, as a TCP stream does, and leaves the read side open: the
/// closing handshake reads until the peer has closed too (RFC 6455, section 7.1.1). Do not use
/// `async_io::Async<TcpStream>`, whose `poll_close` shuts nothing down: a peer that waits for the
/// end of the stream would see it only after the close timeout. `smol::net::TcpStream` shuts down
/// correctly.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a byte stream for a WebSocket",
    label = "not a stream of `futures-io` that is `Send` and `Unpin`",
    note = "wrap a stream of tokio: `anyws::io::TokioIo::new(stream)` (feature `rt-tokio`)",
    note = "wrap a stream of hyper: `anyws::io::HyperIo::new(stream)` (feature `hyper`)"
)]
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

// Without this attribute, the compiler asks for the traits of `futures-io`, and does not say how to
// get them.
#[diagnostic::do_not_recommend]
impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Io for T {}

/// A byte stream of any type, boxed once for each connection.
pub(crate) type BoxIo = Box<dyn Io>;

/// The error of a stream that reports more bytes than the buffer has. Trusting it would mean
/// reading bytes of other connections, or forgetting some of this one.
pub(crate) fn overrun() -> io::Error {
    io::Error::other("the stream reported more bytes than the buffer has: its IO traits are wrong")
}

/// Repeats a call that a signal has interrupted, in the next poll of the task.
pub(crate) fn retry<T>(called: Poll<io::Result<T>>, cx: &Context<'_>) -> Poll<io::Result<T>> {
    match called {
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        called => called,
    }
}

/// Boxes a byte stream. A stream that a runtime can read more cheaply than through its own traits
/// is wrapped first.
pub(crate) fn boxed(io: impl Io + 'static) -> BoxIo {
    let mut io = Some(io);
    SPECIALIZERS
        .iter()
        .find_map(|specialize| specialize(&mut io))
        .unwrap_or_else(|| Box::new(io.expect("nobody has taken it")))
}

/// The runtimes that have such streams. Each function takes the value out of the `Option` if it is
/// one of them.
const SPECIALIZERS: &[fn(&mut dyn Any) -> Option<BoxIo>] = &[
    #[cfg(feature = "rt-smol")]
    smol::specialize,
];

/// Returns a stream that has ended, to replace one that is no longer needed.
pub(crate) fn ended() -> BoxIo {
    Box::new(Ended)
}

struct Ended;

impl AsyncRead for Ended {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(0))
    }
}

impl AsyncWrite for Ended {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
