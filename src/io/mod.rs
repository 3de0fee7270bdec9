//! Byte streams: what a socket reads from and writes to.
//!
//! The one vocabulary is that of `futures-io`. Streams of smol speak it themselves;
//! `TokioIo` and `HyperIo` translate, one way only, the IO traits of tokio and hyper.
//!
//! With feature `rt-smol` a `smol::net::TcpStream` is recognised where a stream is handed over, and
//! read with fewer calls of the system; an `async_io::Async` or a stream in a wrapper is not.

use std::{
    any::Any,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "rt-smol")]
mod smol;
#[cfg(feature = "rt-tokio")]
mod tokio;

#[cfg(feature = "hyper")]
#[cfg_attr(docsrs, doc(cfg(feature = "hyper")))]
pub use self::hyper::HyperIo;
#[cfg(feature = "rt-tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "rt-tokio")))]
pub use self::tokio::TokioIo;

/// A byte stream that a WebSocket can run over; every type with these supertraits is one.
///
/// # Reading
///
/// `poll_read` returns exactly how many bytes it has put into the buffer, which is lent: behind
/// them stand bytes that other sockets of the thread have read. 0 is the end of the stream. A
/// stream that returns more than the buffer has, here or in `poll_write`, has failed.
///
/// # Writing
///
/// A stream should have a `poll_write_vectored` of its own if what is below it has: many small
/// frames with the large payloads between them, which are not copied, leave in one call then. The
/// default one writes the first slice only; a socket notices, and copies the first 16 KiB of each
/// large payload behind its header as long as that is so: no write is small then. `poll_flush` is
/// called once all that is buffered was written, and again if it was interrupted by a signal.
///
/// # Wakers
///
/// A stream keeps a waker for each direction, that of the last poll, as all do. A write must not
/// take the place of the waker that waits for a read.
///
/// # Closing
///
/// `poll_close` shuts down the write side, as a TCP stream does, and leaves the read side open: the
/// closing handshake reads on until the peer has closed too (RFC 6455, section 7.1.1). Mind
/// `async_io::Async<TcpStream>`, whose `poll_close` shuts nothing down: a peer that waits for the
/// end of the stream gets it only when the close timeout is over. `smol::net::TcpStream` does it
/// right.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no byte stream for a WebSocket",
    label = "not a stream of `futures-io` that is `Send` and `Unpin`",
    note = "wrap a stream of tokio: `anyws::io::TokioIo::new(stream)` (feature `rt-tokio`)",
    note = "wrap a stream of hyper: `anyws::io::HyperIo::new(stream)` (feature `hyper`)"
)]
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

// Otherwise the compiler asks for the traits of `futures-io`, and does not say how to get them.
#[diagnostic::do_not_recommend]
impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Io for T {}

/// A byte stream of any type, boxed once for each connection.
pub(crate) type BoxIo = Box<dyn Io>;

/// The error of a stream that reports more bytes than it was given: to believe it would be to read
/// bytes of other connections, or to forget some of this one.
pub(crate) fn overrun() -> io::Error {
    io::Error::other("the stream reported more bytes than the buffer has: its IO traits are wrong")
}

/// Makes a call that a signal has interrupted once more, in the next poll of the task.
pub(crate) fn retry<T>(called: Poll<io::Result<T>>, cx: &Context<'_>) -> Poll<io::Result<T>> {
    match called {
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        called => called,
    }
}

/// Boxes a byte stream; one that a runtime can read at less cost than through its own traits is
/// wrapped first.
pub(crate) fn boxed(io: impl Io + 'static) -> BoxIo {
    let mut io = Some(io);
    SPECIALIZERS
        .iter()
        .find_map(|specialize| specialize(&mut io))
        .unwrap_or_else(|| Box::new(io.expect("nobody has taken it")))
}

/// Who knows streams of their own: each takes the value out of the `Option` that it is given if it
/// is one of them.
const SPECIALIZERS: &[fn(&mut dyn Any) -> Option<BoxIo>] = &[
    #[cfg(feature = "rt-smol")]
    smol::specialize,
];

/// Returns a stream that has ended, to take the place of one that is not needed any more.
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
