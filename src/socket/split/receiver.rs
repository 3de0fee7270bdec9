//! The half that receives.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::{
    future::FusedFuture,
    stream::{FusedStream, Stream},
};

use super::{Half, shared::lock};
use crate::{
    config::QueueConfig,
    connection::Connection,
    error::Result,
    future::PollFn,
    message::{CloseFrame, Message},
    rt::Runtime,
    socket::Sender,
};

/// The half of a [`WebSocket`] that receives; created by [`WebSocket::split`].
///
/// It answers pings while it is polled, even if the other half never sends. Once it has received
/// the peer's Close or an error, dropping it closes the TCP connection in the background, even
/// while the other half lives.
///
/// [`WebSocket`]: crate::WebSocket
/// [`WebSocket::split`]: crate::WebSocket::split
#[derive(Debug)]
pub struct ReceiveHalf(pub(super) Half);

impl ReceiveHalf {
    /// Returns the subprotocol that the handshake chose, if any.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.0.protocol()
    }

    /// Returns the runtime that the socket runs on, if any; see
    /// [`WebSocket::runtime`](crate::WebSocket::runtime).
    #[must_use]
    pub fn runtime(&self) -> Option<Arc<dyn Runtime>> {
        self.0.runtime()
    }

    /// Receives the next message; see [`WebSocket::next`](crate::WebSocket::next).
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::next`](crate::WebSocket::next). After the other half's
    /// [`close`](crate::SendHalf::close) has timed out, `next` returns `None` at once.
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time: no message is lost.
    #[expect(
        clippy::should_implement_trait,
        reason = "it is that of streams, not of iterators"
    )]
    pub fn next(&mut self) -> impl FusedFuture<Output = Option<Result<Message>>> + Send + Unpin {
        PollFn::of_stream(self.is_terminated(), |cx| {
            self.0.drive(cx, Connection::poll_next)
        })
    }

    /// Receives the next text or binary message; see
    /// [`WebSocket::next_data`](crate::WebSocket::next_data).
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time: no message is lost.
    pub fn next_data(
        &mut self,
    ) -> impl FusedFuture<Output = Option<Result<Message>>> + Send + Unpin {
        PollFn::of_stream(self.is_terminated(), |cx| {
            self.0.drive(cx, Connection::poll_next_data)
        })
    }

    /// Returns the peer's Close frame; see
    /// [`WebSocket::close_frame`](crate::WebSocket::close_frame).
    #[must_use]
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.0.close_frame()
    }

    /// Returns a handle that sends from anywhere; see
    /// [`WebSocket::sender`](crate::WebSocket::sender).
    pub fn sender(&mut self) -> Sender {
        self.0.sender(None)
    }

    /// Returns a handle that sends from anywhere, and sets the bounds of the queue; see
    /// [`WebSocket::sender_with`](crate::WebSocket::sender_with).
    pub fn sender_with(&mut self, config: QueueConfig) -> Sender {
        self.0.sender(Some(config))
    }

    /// Returns the time from the last ping of the keepalive to its answer; see
    /// [`WebSocket::round_trip`](crate::WebSocket::round_trip).
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.0.round_trip()
    }

    /// Returns how long ago bytes of the peer came for the last time; see
    /// [`WebSocket::idle_for`](crate::WebSocket::idle_for).
    #[must_use]
    pub fn idle_for(&self) -> Option<Duration> {
        self.0.idle_for()
    }

    /// Ends the connection now, for both halves; see [`WebSocket::abort`](crate::WebSocket::abort).
    ///
    /// If that loses messages of the sending half, or if its `close` waits for the peer, its next
    /// call returns [`Error::Io`](crate::Error::Io).
    pub fn abort(&mut self) {
        self.0.abort();
    }
}

impl Stream for ReceiveHalf {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.drive(cx, Connection::poll_next)
    }
}

/// The stream is terminated once it has returned `None`.
impl FusedStream for ReceiveHalf {
    fn is_terminated(&self) -> bool {
        lock(&self.0.shared).is_terminated()
    }
}
