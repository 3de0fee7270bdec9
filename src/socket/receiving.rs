//! Receiving: `next`, and the socket as a stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::{
    future::FusedFuture,
    stream::{FusedStream, Stream},
};

use super::WebSocket;
use crate::{
    error::Result,
    future::PollFn,
    message::{CloseFrame, Message},
};

impl WebSocket {
    /// Receives the next message, or `None` at the end.
    ///
    /// Control frames are returned too. The pong for a returned ping is already buffered; the next
    /// call of `next`, `send` or `flush` writes it. A pong needs no answer. A Close has been
    /// answered and is the last message. `next` writes everything that is buffered before it waits,
    /// and a blocked write does not stop it from receiving.
    ///
    /// # Errors
    ///
    /// At most one error is returned, then `None`: [`Error::ClosedWithoutHandshake`],
    /// [`Error::Protocol`], [`Error::Io`], [`Error::Timeout`] of a timeout that is set in the
    /// settings, or [`Error::QueueFull`]. If a write has failed, `next` first returns the messages
    /// that had arrived, then the error.
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time: no message is lost.
    ///
    /// [`Error::ClosedWithoutHandshake`]: crate::Error::ClosedWithoutHandshake
    /// [`Error::Io`]: crate::Error::Io
    /// [`Error::Protocol`]: crate::Error::Protocol
    /// [`Error::QueueFull`]: crate::Error::QueueFull
    /// [`Error::Timeout`]: crate::Error::Timeout
    #[expect(
        clippy::should_implement_trait,
        reason = "it is that of streams, not of iterators"
    )]
    #[inline]
    pub fn next(&mut self) -> impl FusedFuture<Output = Option<Result<Message>>> + Send + Unpin {
        PollFn::of_stream(self.connection.is_terminated(), |cx| {
            self.connection.poll_next(cx)
        })
    }

    /// Receives the next text or binary message, or `None` at the end.
    ///
    /// This is [`next`](Self::next) without control frames: it answers pings and the peer's Close,
    /// and does not return them. After the end, [`close_frame`](Self::close_frame) returns the
    /// peer's Close.
    ///
    /// ```
    /// use anyws::WebSocket;
    ///
    /// async fn receive(mut socket: WebSocket) -> anyws::Result<()> {
    ///     while let Some(message) = socket.next_data().await {
    ///         println!("{} bytes", message?.len());
    ///     }
    ///     if let Some(frame) = socket.close_frame() {
    ///         println!("closed with {}: {}", frame.code, frame.reason);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time: no message is lost.
    #[inline]
    pub fn next_data(
        &mut self,
    ) -> impl FusedFuture<Output = Option<Result<Message>>> + Send + Unpin {
        PollFn::of_stream(self.connection.is_terminated(), |cx| {
            self.connection.poll_next_data(cx)
        })
    }

    /// Returns the peer's Close frame: its code and its reason.
    ///
    /// Returns `None` until the Close has been received, and for a Close without a code (RFC 6455,
    /// section 7.1.5, code 1005).
    #[must_use]
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.connection.close_frame()
    }
}

impl Stream for WebSocket {
    type Item = Result<Message>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connection.poll_next(cx)
    }
}

/// The stream is terminated once it has returned `None`.
impl FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.connection.is_terminated()
    }
}
