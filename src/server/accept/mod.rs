//! Servers on a bare stream: the same handshake, without an HTTP library.

use crate::{config::WebSocketConfig, error::Result, io::Io, socket::WebSocket};

mod handshake;
mod incoming;
mod linger;
mod unanswered;

pub use self::{
    handshake::ServerHandshake,
    incoming::{Incoming, PlainRequest},
};

/// Serves a WebSocket on a bare stream: reads the request, checks it and answers it.
///
/// This is the short form of [`ServerHandshake::read`] followed by [`ServerHandshake::accept`].
///
/// ```
/// # async fn serve(stream: impl anyws::Io + 'static) -> anyws::Result<()> {
/// let config = anyws::WebSocketConfig::new();
/// let mut socket = anyws::accept(stream, config).await?;
/// while let Some(message) = socket.next().await {
///     println!("{}", message?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// - [`Error::Rejected`]: the request is refused, or its head did not arrive in time. The client
///   has been answered.
/// - [`Error::ClosedWithoutHandshake`]: the client left before its request was complete.
/// - [`Error::Io`]: the stream failed.
/// - [`Error::Timeout`]: the answer could not be written within the upgrade timeout.
/// - [`Error::Config`], [`Error::NoRuntime`]: the settings cannot work.
///
/// [`Error::Rejected`]: crate::Error::Rejected
/// [`Error::ClosedWithoutHandshake`]: crate::Error::ClosedWithoutHandshake
/// [`Error::Io`]: crate::Error::Io
/// [`Error::Timeout`]: crate::Error::Timeout
/// [`Error::Config`]: crate::Error::Config
/// [`Error::NoRuntime`]: crate::Error::NoRuntime
///
/// # Cancel safety
///
/// Dropping the future drops the stream: nothing is left half open.
pub fn accept(
    io: impl Io + 'static,
    config: WebSocketConfig,
) -> impl Future<Output = Result<WebSocket>> + Send + Unpin {
    // Boxed, so that the memory of the handshake is freed with it. A task is as large as the most
    // that it ever holds, and this one may continue as the handler of the socket.
    Box::pin(async { ServerHandshake::read(io, config).await?.accept().await })
}
