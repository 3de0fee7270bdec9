//! The half that sends.

use std::{
    pin::Pin,
    sync::Arc as StdArc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::future::FusedFuture;
use futures_sink::Sink;

use super::{Half, ReceiveHalf, ReuniteError, shared::lock};
use crate::{
    config::QueueConfig,
    connection::{Closer, Connection, Reading, SendSlot, Side},
    error::{Error, Result},
    future::PollFn,
    message::{CloseFrame, Message},
    proto::PreparedMessage,
    rt::Runtime,
    socket::{IntoCloseFrame, Sender, WebSocket},
    sync::Arc,
};

/// The half of a [`WebSocket`] that sends; created by [`WebSocket::split`].
///
/// While it waits for a peer that does not read, the other half continues to receive and to answer
/// pings.
///
/// # Without the other half
///
/// A handler that only sends can drop the receiving half. From then on, `send`, `feed` and `flush`
/// read what has arrived: they answer pings and the peer's Close, and discard data. `feed` only
/// buffers, pongs included. The call that finds the end of the connection returns its error, even
/// if the message of that call was accepted. Later calls return [`Error::Closed`].
///
/// Between two calls nothing is read, and a peer that closes has to wait for the next call. A
/// handler that waits for something else in between has to select on [`closed`](Self::closed).
#[derive(Debug)]
pub struct SendHalf(pub(super) Half);

impl SendHalf {
    /// Returns the subprotocol that the handshake chose, if any.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.0.protocol()
    }

    /// Returns the runtime that the socket runs on, if any; see [`WebSocket::runtime`].
    #[must_use]
    pub fn runtime(&self) -> Option<StdArc<dyn Runtime>> {
        self.0.runtime()
    }

    /// Returns the peer's Close frame; see [`WebSocket::close_frame`].
    #[must_use]
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.0.close_frame()
    }

    /// Returns a handle that sends from anywhere; see [`WebSocket::sender`].
    pub fn sender(&mut self) -> Sender {
        self.0.sender(None)
    }

    /// Returns a handle that sends from anywhere, and sets the bounds of the queue; see
    /// [`WebSocket::sender_with`].
    pub fn sender_with(&mut self, config: QueueConfig) -> Sender {
        self.0.sender(Some(config))
    }

    /// Sends a message; see [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::send`]. Once the receiving half is dropped, also the errors that `next`
    /// would have returned.
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::send`].
    pub fn send(
        &mut self,
        message: Message,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        let mut slot = SendSlot::new(message);
        PollFn::new(move |cx| {
            self.drive(cx, |connection, cx| {
                let sent = connection.poll_send(cx, &mut slot);
                sent.map_err(|error| *error)
            })
        })
    }

    /// Sends a prepared message; see [`WebSocket::send_prepared`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::send`].
    pub fn send_prepared(
        &mut self,
        message: &PreparedMessage,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin + use<'_> {
        let mut slot = SendSlot::prepared(message.clone());
        PollFn::new(move |cx| {
            self.drive(cx, |connection, cx| {
                let sent = connection.poll_send(cx, &mut slot);
                sent.map_err(|error| *error)
            })
        })
    }

    /// Buffers a message; see [`WebSocket::feed`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::send`].
    pub fn feed(
        &mut self,
        message: Message,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        let mut slot = SendSlot::new(message);
        PollFn::new(move |cx| {
            let fed = self.drive(cx, |connection, cx| {
                let fed = connection.poll_feed(cx, &mut slot);
                fed.map_err(|error| *error)
            });
            if matches!(fed, Poll::Ready(Ok(()))) {
                self.wake_receiver();
            }
            fed
        })
    }

    /// Writes everything that is buffered; see [`WebSocket::flush`].
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::flush`]. Once the receiving half is dropped, also the errors that `next`
    /// would have returned.
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::flush`].
    pub fn flush(&mut self) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        let mut behind = None;
        PollFn::new(move |cx| {
            self.drive(cx, |connection, cx| {
                connection.poll_flush_behind(cx, &mut behind)
            })
        })
    }

    /// Waits until nothing more can be sent; see [`WebSocket::closed`].
    ///
    /// While the receiving half lives, this only waits and writes what is buffered. The receiving
    /// half gets what arrives, so its `next` has to be polled. Once that half is dropped, this
    /// method answers pings and the peer's Close, and **discards data that arrives**.
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::closed`]. While the receiving half lives, its `next` returns the error
    /// that ended the connection; this method returns only [`Error::Io`], for lost messages.
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time: the next call continues to wait.
    pub fn closed(&mut self) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        PollFn::new(|cx| {
            self.0.drive(cx, |connection, cx| {
                connection.poll_closed(cx, self.0.reading())
            })
        })
    }

    /// Closes the connection; see [`WebSocket::close`].
    ///
    /// While the receiving half lives, it gets what the peer sends before its own Close: poll it or
    /// drop it. Once it is dropped, data that arrives is discarded.
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::close`]. Also [`Error::Timeout`] if the receiving half lives and has not
    /// received the peer's Close within the close timeout.
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::close`].
    pub fn close(
        &mut self,
        frame: impl IntoCloseFrame,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        self.close_in(frame.into_frame(), None)
    }

    /// Closes the connection with its own timeout; see [`WebSocket::close_within`].
    ///
    /// # Errors
    ///
    /// As for [`close`](Self::close). [`Error::NoRuntime`] without a runtime that has timers; the
    /// connection is unharmed.
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::close`].
    pub fn close_within(
        &mut self,
        frame: impl IntoCloseFrame,
        timeout: Duration,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        self.close_in(frame.into_frame(), Some(timeout))
    }

    /// Ends the connection now, for both halves; see [`WebSocket::abort`].
    ///
    /// The receiving half's `next` returns `None`. Messages that it has not returned yet are lost.
    pub fn abort(&mut self) {
        self.0.abort();
    }

    /// Returns the time from the last ping of the keepalive to its answer; see
    /// [`WebSocket::round_trip`].
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.0.round_trip()
    }

    /// Returns how long ago bytes of the peer came for the last time; see
    /// [`WebSocket::idle_for`].
    #[must_use]
    pub fn idle_for(&self) -> Option<Duration> {
        self.0.idle_for()
    }

    /// Joins the halves of a socket again.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`] returns the halves if they belong to different sockets.
    pub fn reunite(self, receiver: ReceiveHalf) -> Result<WebSocket, ReuniteError> {
        if !Arc::ptr_eq(&self.0.shared, &receiver.0.shared) {
            return Err(ReuniteError(self, receiver));
        }
        // Dropping the halves then finds nothing to finish.
        let mut connection = lock(&self.0.shared).take();
        connection.set_shared(false);
        Ok(WebSocket::from_connection(connection))
    }

    fn close_in(
        &mut self,
        frame: Option<CloseFrame>,
        timeout: Option<Duration>,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        let mut frame = Some(frame);
        let mut deadline = None;
        PollFn::new(move |cx| {
            self.0.drive(cx, |connection, cx| {
                if let Some(frame) = frame.take() {
                    deadline = connection.start_close(frame, timeout)?;
                }
                let closer = match self.0.reading() {
                    Reading::Never => Closer::BesideReceiver,
                    Reading::Allowed => Closer::User,
                };
                connection.poll_close(cx, deadline.as_mut(), closer)
            })
        })
    }

    /// Polls to send. Once nobody else reads, it reads too: otherwise it would never find a Close.
    fn drive(
        &self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Connection, &mut Context<'_>) -> Poll<Result<()>>,
    ) -> Poll<Result<()>> {
        self.0.drive(cx, |connection, cx| {
            if self.0.reading() == Reading::Allowed {
                connection.discard_received(cx)?;
            }
            poll(connection, cx)
        })
    }

    /// A waiting receiver writes what is buffered, as a whole socket does before it waits.
    fn wake_receiver(&self) {
        self.0.shared.wake(Side::Receiver);
    }
}

/// Closing the sink sends Close 1000 and flushes. It does not wait for the peer.
impl Sink<Message> for SendHalf {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.drive(cx, |connection, cx| {
            connection.poll_ready(cx).map_err(|error| *error)
        })
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<()> {
        lock(&self.0.shared).start_send(message)?;
        self.wake_receiver();
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.drive(cx, Connection::poll_flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.drive(cx, Connection::poll_close_sink)
    }
}
