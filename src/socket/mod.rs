//! The WebSocket for users: a stream of messages and a sink for them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::future::FusedFuture;
use futures_sink::Sink;

pub use self::{
    close_frame::IntoCloseFrame,
    split::{ReceiveHalf, ReuniteError, SendHalf},
};
use crate::{
    connection::{Closer, Connection, Established, Reading, Side},
    error::{Error, Result},
    future::PollFn,
    message::{CloseFrame, Message},
    proto::Outgoing,
    rt::Runtime,
};

mod close_frame;
mod split;
mod stream;

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
/// [`Stream`]: futures_core::Stream
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

    /// Returns the runtime that the socket runs on, if there is one.
    ///
    /// Pass it to [`rt::sleep`](crate::rt::sleep) and [`rt::timeout`](crate::rt::timeout), or call
    /// its [`spawn`](Runtime::spawn). A handler then waits and spawns without naming a runtime.
    #[must_use]
    pub fn runtime(&self) -> Option<Arc<dyn Runtime>> {
        self.connection.runtime()
    }

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
    /// [`Error::Protocol`] or [`Error::Io`]. If a write has failed, `next` first returns the
    /// messages that had arrived, then the error.
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time: no message is lost.
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

    /// Sends a message: buffers it and writes everything that is buffered.
    ///
    /// The call waits for space while more than
    /// [`max_write_buffer_size`](crate::TransportConfig::max_write_buffer_size) is buffered, and
    /// then until the stream has accepted everything. If the peer does not read, it may wait
    /// forever: there is no timeout except your own. While it waits, no pings are answered.
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
    /// the stream fails.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future while it waits for space, the message is not sent. Once there was
    /// space, the message is accepted: it is sent once and whole even if you drop the future. The
    /// next call of `next`, `send`, `flush` or `close` continues to write. Where the difference
    /// matters, use the [`Sink`]: `poll_ready`, then `start_send`.
    // Not an `async fn`: that would have two slots for the message, and each handler contains such
    // a future.
    #[inline]
    pub fn send(
        &mut self,
        message: Message,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        let mut message = Some(Outgoing::new(message));
        PollFn::new(move |cx| {
            let sent = self.connection.poll_send(cx, &mut message);
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
        let mut message = Some(Outgoing::new(message));
        PollFn::new(move |cx| {
            let sent = self.connection.poll_feed(cx, &mut message);
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
        PollFn::new(|cx| self.connection.poll_flush(cx))
    }

    /// Waits until nothing more can be sent: the peer has closed, or the connection has failed.
    ///
    /// While it waits, it answers pings and the peer's Close, writes what is buffered, and
    /// **discards data that arrives**. It is for handlers that only send: without it, nothing would
    /// read the peer's Close. Handlers that also receive use [`next`](Self::next), which does all
    /// of this.
    ///
    /// A task that waits here counts as the receiving task: if another one waits in `next`, this
    /// one takes its wakeups. The answer to the Close is written as far as the stream accepts it;
    /// `flush`, `close` or dropping the socket writes the rest.
    ///
    /// ```
    /// use anyws::WebSocket;
    /// use futures::{StreamExt, channel::mpsc, select};
    ///
    /// async fn push(
    ///     mut socket: WebSocket,
    ///     mut news: mpsc::Receiver<String>,
    /// ) -> anyws::Result<()> {
    ///     loop {
    ///         select! {
    ///             closed = socket.closed() => return closed,
    ///             line = news.next() => match line {
    ///                 Some(line) => socket.send(line.into()).await?,
    ///                 None => return Ok(()),
    ///             },
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The error that ended the connection instead of a Close, as for [`next`](Self::next), unless
    /// it was returned before: [`Error::ClosedWithoutHandshake`], [`Error::Protocol`] or
    /// [`Error::Io`].
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time: the next call continues to wait. `next` still returns
    /// the peer's Close.
    pub fn closed(&mut self) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        PollFn::new(|cx| self.connection.poll_closed(cx, Reading::Allowed))
    }

    /// Closes the connection: sends a Close with `frame`, discards data up to the peer's Close, and
    /// ends the TCP connection (RFC 6455, section 7.1.2).
    ///
    /// `frame` is `None` for a Close without a code, or a code with a reason of at most 123 bytes:
    /// `(CloseCode::Away, "restart")`. After the peer's Close, or after an error that `next`
    /// returned, the call only finishes what is left to do.
    ///
    /// The call takes at most the close timeout, 10 s by default ([`set_close_timeout`]). Without a
    /// runtime that has timers, it writes the Close and does not wait for the answer. Pings are no
    /// longer answered, because nothing may follow a Close.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMessage`] for a code or reason that may not be sent; the connection is
    /// unharmed. [`Error::Timeout`] if the peer's Close does not arrive in time.
    /// [`Error::ClosedWithoutHandshake`], [`Error::Protocol`] or [`Error::Io`] if something else
    /// arrives instead, or if a message is lost. A peer that has closed first need not accept our
    /// answer: that is not an error.
    ///
    /// # Cancel safety
    ///
    /// Once the future has been polled, the Close is buffered. If you drop the future after that, a
    /// second call completes the rest with a new timeout; dropping the socket completes it too.
    ///
    /// [`set_close_timeout`]: crate::WebSocketConfig::set_close_timeout
    pub fn close(
        &mut self,
        frame: impl IntoCloseFrame,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        self.close_in(frame.into_frame(), None)
    }

    /// Closes the connection as [`close`](Self::close) does, with `timeout` instead of the close
    /// timeout.
    ///
    /// `timeout` covers both the peer's Close and the end of the TCP connection. With
    /// [`Duration::ZERO`], only what the stream accepts at once is written.
    ///
    /// # Errors
    ///
    /// As for [`close`](Self::close). [`Error::NoRuntime`] without a runtime that has timers; the
    /// connection is unharmed.
    ///
    /// # Cancel safety
    ///
    /// As for [`close`](Self::close).
    pub fn close_within(
        &mut self,
        frame: impl IntoCloseFrame,
        timeout: Duration,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        self.close_in(frame.into_frame(), Some(timeout))
    }

    fn close_in(
        &mut self,
        frame: Option<CloseFrame>,
        timeout: Option<Duration>,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        let mut frame = Some(frame);
        let mut deadline = None;
        PollFn::new(move |cx| {
            if let Some(frame) = frame.take() {
                deadline = self.connection.start_close(frame, timeout)?;
            }
            let deadline = deadline.as_mut();
            let closed = ready!(self.connection.poll_close(cx, deadline, Closer::User));
            drop(self.connection.take_stream());
            Poll::Ready(closed)
        })
    }

    /// Ends the connection now: drops the stream, without a Close and without waiting.
    ///
    /// Use it for peers that do not answer, and for those that abuse the server. Buffered messages
    /// are lost, and so are messages that have arrived but that `next` has not returned. The peer
    /// sees the stream end without a Close (code 1006). To send a Close but wait only briefly, use
    /// [`close_within`](Self::close_within).
    ///
    /// Afterwards `send` returns [`Error::Closed`]. `next` returns `None`; if
    /// [`close`](Self::close) or [`closed`](Self::closed) has read the peer's Close, `next` returns
    /// that first.
    pub fn abort(&mut self) {
        let (tasks, stream) = self.connection.abort(Side::Sender);
        tasks.wake();
        drop(stream);
    }

    /// Splits the socket into a half that sends and a half that receives, for two tasks.
    ///
    /// [`SendHalf::reunite`] joins them again.
    #[must_use]
    pub fn split(self) -> (SendHalf, ReceiveHalf) {
        split::split(self)
    }

    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }

    pub(crate) fn from_connection(connection: Connection) -> Self {
        Self { connection }
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
