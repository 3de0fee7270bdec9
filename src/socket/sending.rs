//! Sending: `send`, `feed`, `flush`, senders, and the socket as a sink.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::future::FusedFuture;
use futures_sink::Sink;

use super::{Sender, WebSocket};
use crate::{
    config::QueueConfig,
    connection::SendSlot,
    error::{Error, Result},
    future::PollFn,
    message::Message,
    proto::PreparedMessage,
};

impl WebSocket {
    /// Sends a message: buffers it and writes everything that is buffered.
    ///
    /// The call waits for space while more than
    /// [`max_write_buffer_size`](crate::TransportConfig::max_write_buffer_size) is buffered, and
    /// then until the stream has accepted everything. If the peer does not read, it may wait
    /// forever, unless [`set_write_timeout`] limits that. While it waits, no pings are answered.
    ///
    /// A message longer than [`fragment_size`](crate::TransportConfig::fragment_size), 16 MiB by
    /// default, is sent in fragments.
    ///
    /// `send` receives nothing, neither pings nor the peer's Close. A handler that only sends has
    /// to select on [`closed`](Self::closed) between messages. It can also drop the receiving half
    /// of [`split`](Self::split): then each `send` receives too.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMessage`] for a message that may not be sent: a raw frame, a ping or pong
    /// longer than 125 bytes, a close code that is not allowed on the wire, or a close reason
    /// longer than 123 bytes. [`Error::Closed`] once a Close was sent or received. [`Error::Io`] if
    /// the stream fails. [`Error::Timeout`] if a write takes longer than the write timeout, or if
    /// the maximum lifetime is over.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future while it waits for space, the message is not sent. Once there was
    /// space, the message is accepted: it is sent once and whole even if you drop the future. The
    /// next call of `next`, `send`, `flush` or `close` continues to write. Where the difference
    /// matters, use the [`Sink`]: `poll_ready`, then `start_send`.
    ///
    /// [`set_write_timeout`]: crate::WebSocketConfig::set_write_timeout
    // Not an `async fn`: that would have two slots for the message, and each handler contains such
    // a future.
    #[inline]
    pub fn send(
        &mut self,
        message: Message,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        let mut slot = SendSlot::new(message);
        PollFn::new(move |cx| {
            let sent = self.connection.poll_send(cx, &mut slot);
            sent.map_err(|error| *error)
        })
    }

    /// Sends a message that was prepared to be sent to many; see [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub fn send_prepared(
        &mut self,
        message: &PreparedMessage,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin + use<'_> {
        let mut slot = SendSlot::prepared(message.clone());
        PollFn::new(move |cx| {
            let sent = self.connection.poll_send(cx, &mut slot);
            sent.map_err(|error| *error)
        })
    }

    /// Buffers a message, to be written together with others.
    ///
    /// It is written by `flush`, `send` or a waiting `next`, or when more than
    /// [`write_buffer_size`](crate::TransportConfig::write_buffer_size) is buffered, 64 KiB by
    /// default.
    ///
    /// `feed` waits only while more than
    /// [`max_write_buffer_size`](crate::TransportConfig::max_write_buffer_size) is buffered, 128
    /// KiB by default. That happens when the peer does not read; while `feed` waits, none of the
    /// peer's pings are answered. Call `flush` before you await something else after a `feed`.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    #[inline]
    pub fn feed(
        &mut self,
        message: Message,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        let mut slot = SendSlot::new(message);
        PollFn::new(move |cx| {
            let sent = self.connection.poll_feed(cx, &mut slot);
            sent.map_err(|error| *error)
        })
    }

    /// Writes all that is buffered and flushes the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the stream fails. It is returned once: afterwards nothing is left to write.
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time: the next call continues to write.
    pub fn flush(&mut self) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        let mut behind = None;
        PollFn::new(move |cx| self.connection.poll_flush_behind(cx, &mut behind))
    }

    /// Returns a handle that sends from anywhere: from other tasks, threads and connections.
    ///
    /// Its messages go into a queue, of 256 messages and 1 MiB unless
    /// [`set_queue`](crate::WebSocketConfig::set_queue) says otherwise. They are written by the
    /// task that is in `next`, `send`, `feed`, `flush` or `closed` of this socket. All senders of a
    /// socket share one queue.
    ///
    /// ```
    /// use anyws::WebSocket;
    ///
    /// # futures::executor::block_on(async {
    /// # let (mut socket, mut client) = anyws::testing::pair();
    /// let sender = socket.sender();
    /// sender.try_send("hello").unwrap();
    /// # let serve = async { socket.next().await.unwrap().unwrap() };
    /// # let ends = async {
    /// #     assert_eq!(client.next().await.unwrap().unwrap(), "hello".into());
    /// #     client.close(None).await.unwrap();
    /// # };
    /// # futures::join!(serve, ends);
    /// # });
    /// ```
    pub fn sender(&mut self) -> Sender {
        Sender::new(self.connection.queue(None))
    }

    /// Returns a handle as [`sender`](Self::sender) does, and sets the bounds of the queue.
    ///
    /// The bounds of the latest call apply to all senders of the socket. They are not checked by
    /// [`WebSocketConfig::validate`](crate::WebSocketConfig::validate): a limit of 0 lets one
    /// message through at a time.
    pub fn sender_with(&mut self, config: QueueConfig) -> Sender {
        Sender::new(self.connection.queue(Some(config)))
    }
}

/// Closing the sink sends Close 1000 and flushes. It does not wait for the peer.
impl Sink<Message> for WebSocket {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.connection.poll_ready(cx).map_err(|error| *error)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<()> {
        self.connection.start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.connection.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.connection.poll_close_sink(cx)
    }
}
