//! The WebSocket for users: a stream of messages and a sink for them.

use std::{sync::Arc, time::Duration};

pub use self::{
    close_frame::IntoCloseFrame,
    sender::Sender,
    split::{ReceiveHalf, ReuniteError, SendHalf},
};
use crate::{
    connection::{Connection, Established},
    life::Stop,
    rt::Runtime,
};

mod close_frame;
mod closing;
mod receiving;
mod sender;
mod sending;
mod split;

/// An open WebSocket connection: a [`Stream`] of messages and a [`Sink`] for them.
///
/// All methods are inherent, so you need no extension trait. The trait impls are for combinators
/// such as `forward`.
///
/// # Receiving
///
/// [`next`](Self::next) answers pings by itself: it buffers the pong, and writes everything that is
/// buffered before it waits. If the peer reads, each of its pings is answered. While pongs cannot
/// be written, 4 KiB of them are buffered; beyond that, only the latest ping is kept to be answered
/// (RFC 6455, section 5.5.3).
///
/// The peer's Close is returned as `Some(Ok(Message::Close(_)))`, already answered. After it,
/// `next` always returns `None`. If the stream ends without a Close, `next` returns
/// [`Error::ClosedWithoutHandshake`] once. If the peer breaks the protocol, the socket sends a
/// Close frame that says so, and `next` returns [`Error::Protocol`] once. `None` follows both
/// errors.
///
/// # Sending
///
/// [`send`](Self::send) writes before it returns. [`feed`](Self::feed) only buffers, so that
/// several messages leave in one write. Both wait while more than
/// [`max_write_buffer_size`](crate::TransportConfig::max_write_buffer_size) is buffered, 128 KiB by
/// default. While a task waits in one of them, the socket reads nothing and answers no pings. Two
/// peers that both send without reading therefore block each other. To send and receive at the same
/// time, use the halves of [`split`](Self::split).
///
/// A handler that only sends has to select on [`closed`](Self::closed), or nothing answers pings
/// and the peer's Close. If it drops the receiving half instead, each `send` answers them.
///
/// # Turns
///
/// After 256 frames or 2 MiB without a pause, a socket yields to other tasks even if it could
/// continue. Frames count whether they are received, sent or only fed. Neither a peer that is
/// faster than the handler nor a handler that only sends can starve the other tasks of a thread.
///
/// # Two tasks
///
/// Two tasks may poll one socket: by [`split`](Self::split), by `StreamExt::split` of `futures`, or
/// behind a lock that is held only within a poll. No wakeup is lost between them. The socket keeps
/// the waker of the task that received last.
///
/// # The end
///
/// [`close`](Self::close) completes the closing handshake.
///
/// Dropping an open socket closes it cleanly in the background. The drop itself writes what the
/// stream accepts at once: everything that is buffered, and a Close with code 1000, or 1011 while a
/// panic unwinds or if the handler returns `Err`. A task on the socket's runtime writes the rest
/// and ends the TCP connection in the order of RFC 6455, section 7.1.1, within the close timeout.
/// Without a runtime that has timers, the drop also drops the stream.
///
/// A failed write is reported once to each side that may have lost a message. The sending side gets
/// the error from the call that sends, or from the next one. `next` returns it if `next` made the
/// write.
///
/// ```
/// use anyws::WebSocket;
///
/// async fn echo(mut socket: WebSocket) -> anyws::Result<()> {
///     while let Some(message) = socket.next_data().await {
///         socket.send(message?).await?;
///     }
///     Ok(())
/// }
/// ```
///
/// [`Sink`]: futures_sink::Sink
/// [`Stream`]: futures_core::Stream
/// [`Error::ClosedWithoutHandshake`]: crate::Error::ClosedWithoutHandshake
/// [`Error::Protocol`]: crate::Error::Protocol
#[derive(Debug)]
pub struct WebSocket {
    connection: Connection,
}

impl WebSocket {
    /// Starts a socket after the opening handshake.
    pub(crate) fn new(established: Established<'_>) -> Self {
        Self::from_connection(Connection::new(established))
    }

    /// Returns the subprotocol that the handshake chose, if any (RFC 6455, section 1.9).
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.connection.protocol()
    }

    /// Returns whether both ends have agreed to compress messages; see
    /// [`set_deflate`](crate::WebSocketConfig::set_deflate).
    ///
    /// Single messages may still be sent or received uncompressed. Whether there is takeover, and
    /// with which window, is in the header `Sec-WebSocket-Extensions` of the response.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.connection.has_compression()
    }

    /// Returns the runtime that the socket runs on, if there is one.
    ///
    /// Pass it to [`rt::sleep`](crate::rt::sleep) and [`rt::timeout`](crate::rt::timeout), or call
    /// its [`spawn`](Runtime::spawn). A handler then waits and spawns without naming a runtime.
    #[must_use]
    pub fn runtime(&self) -> Option<Arc<dyn Runtime>> {
        self.connection.runtime()
    }

    /// Returns the time from the last ping of the keepalive to its answer.
    ///
    /// Returns `None` before the first answer, and if
    /// [`set_keepalive`](crate::WebSocketConfig::set_keepalive) is off. Only silent peers are
    /// pinged, so it stays `None` for a peer that always has something to send. Pings that the
    /// handler sends by itself are not measured, nor is an answer that comes together with a
    /// message. The time for which the handler does not wait in `next` or `closed` is included.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.connection.round_trip()
    }

    /// Returns how long the peer has been silent, to the clock's tick (see
    /// [`set_keepalive`](crate::WebSocketConfig::set_keepalive)).
    ///
    /// Every byte of the peer counts, also those of pings and pongs; the idle timeout counts
    /// messages in both directions instead. Returns `None` if neither a timeout nor a rate is set:
    /// then nothing keeps the time. If bytes have come since the handler last waited, the result is
    /// zero, even if the handler was busy since then.
    #[must_use]
    pub fn idle_for(&self) -> Option<Duration> {
        self.connection.idle_for()
    }

    /// Splits the socket into a half that sends and a half that receives, for two tasks.
    ///
    /// [`SendHalf::reunite`] joins them again.
    #[must_use]
    pub fn split(self) -> (SendHalf, ReceiveHalf) {
        split::split(self)
    }

    pub(crate) fn has_lifetime(&self) -> bool {
        self.connection.has_lifetime()
    }

    pub(crate) fn stop(&self) -> Option<Stop> {
        self.connection.stop()
    }

    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }

    pub(crate) fn from_connection(connection: Connection) -> Self {
        Self { connection }
    }
}
