//! The WebSocket as its user sees it: a stream of messages and a sink for them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::{
    future::FusedFuture,
    stream::{FusedStream, Stream},
};
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

/// An open WebSocket connection: a [`Stream`] of messages and a [`Sink`] for them.
///
/// The methods are inherent, so that no extension trait need be imported; the trait impls are there
/// for combinators such as `forward`.
///
/// # Receiving
///
/// [`next`](Self::next) buffers the answer to a ping by itself, and writes all that is buffered
/// before it waits. Each ping of a peer that reads is answered. While pongs cannot be written, 4
/// KiB of them are buffered, and beyond that only the latest ping is kept to be answered (RFC 6455,
/// section 5.5.3). The peer's Close comes as `Some(Ok(Message::Close(_)))`, answered already, and
/// `None` follows for ever. A stream that ends without a Close is one
/// [`Error::ClosedWithoutHandshake`], a peer that breaks the protocol is one [`Error::Protocol`]
/// after a Close frame that tells it so; `None` follows both.
///
/// # Sending
///
/// [`send`](Self::send) writes before it returns; [`feed`](Self::feed) only buffers, so that
/// several messages leave in one write. Both wait while more is buffered than
/// [`max_write_buffer_size`](crate::TransportConfig::max_write_buffer_size), 128 KiB by default.
/// While a task waits in one of them nothing is read and no ping is answered: two peers that both
/// send and do not read wait for each other. The halves of [`split`](Self::split) send and receive
/// at the same time.
///
/// A handler that only sends selects on [`closed`](Self::closed), or nothing answers pings and the
/// peer's Close. If it drops the receiving half, each `send` answers too.
///
/// # Turns
///
/// After 256 frames or 2 MiB without a pause a socket lets other tasks run, though it could go on,
/// whether frames are received, sent or only fed: neither a peer that is faster than the handler
/// nor a handler that only sends keeps a thread to itself.
///
/// # Two tasks
///
/// Two tasks may poll one socket: by [`split`](Self::split), by `StreamExt::split` of `futures`, or
/// behind a lock that is held within a poll. No wakeup is lost between them. The socket keeps the
/// waker of the task that has received last.
///
/// # The end
///
/// [`close`](Self::close) completes the closing handshake. A socket that is dropped while open
/// writes what its stream takes at once: what is buffered, and Close 1000 (1011 while a panic
/// unwinds, or if its handler returns `Err`). A task on its runtime writes the rest and ends the
/// TCP connection in the order of RFC 6455, section 7.1.1, within the close timeout. Without a
/// runtime that has timers the stream is dropped then.
///
/// A write that fails is told to each side that may have lost a message by it, once: to the call
/// that sends, or to the next one, and to `next` if it made the write.
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
    /// With it a handler waits ([`rt::sleep`](crate::rt::sleep),
    /// [`rt::timeout`](crate::rt::timeout)) and spawns ([`Runtime::spawn`]) without naming a
    /// runtime.
    #[must_use]
    pub fn runtime(&self) -> Option<Arc<dyn Runtime>> {
        self.connection.runtime()
    }

    /// Receives the next message, or `None` at the end.
    ///
    /// Control frames come too. The answer to a ping is buffered already, to be written by the next
    /// call of `next`, `send` or `flush`; a pong needs no answer; a Close was answered, and is the
    /// last message. What is buffered is written before this waits, and a write that is blocked
    /// does not keep it from receiving.
    ///
    /// # Errors
    ///
    /// At most one error is returned, then `None`: [`Error::ClosedWithoutHandshake`],
    /// [`Error::Protocol`] or [`Error::Io`]. After a write that has failed, what had arrived comes
    /// before the error.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time: no message is lost.
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
    /// It is [`next`](Self::next) without control frames: pings and the peer's Close are answered
    /// and left out. After the end [`close_frame`](Self::close_frame) returns the peer's Close.
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
    /// It may be dropped at any time: no message is lost.
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
    /// It is `None` until the Close has been received, and if it has no code (RFC 6455, section
    /// 7.1.5, code 1005).
    #[must_use]
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.connection.close_frame()
    }

    /// Sends a message: buffers it and writes all that is buffered.
    ///
    /// It waits for room while more is buffered than
    /// [`max_write_buffer_size`](crate::TransportConfig::max_write_buffer_size), and then until the
    /// stream has taken everything: as long as the peer does not read, if it has to. There is no
    /// timeout for it but the caller's own. While it waits no ping is answered.
    ///
    /// A message above [`fragment_size`](crate::TransportConfig::fragment_size), 16 MiB by default,
    /// is sent in fragments.
    ///
    /// Nothing is received here, neither a ping nor the peer's Close. A handler that only sends
    /// selects on [`closed`](Self::closed) between messages, or drops the receiving half of
    /// [`split`](Self::split): then each `send` receives too.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMessage`] for what may not be sent: a raw frame, a ping or pong above 125
    /// bytes, a close code that is not for the wire, a close reason above 123 bytes.
    /// [`Error::Closed`] once a Close was sent or received. [`Error::Io`] if the stream fails.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for room, the message is not sent. Once there was room, the message
    /// is accepted, and is sent once and whole even if this is dropped; the next call of `next`,
    /// `send`, `flush` or `close` writes on. Where the difference matters use the [`Sink`]:
    /// `poll_ready`, then `start_send`.
    // No `async fn` would do with one place for the message: each handler has such a future in it.
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

    /// Buffers a message, to be written with others: by `flush`, `send` or a waiting `next`, or
    /// when more than [`write_buffer_size`](crate::TransportConfig::write_buffer_size) is buffered,
    /// 64 KiB by default.
    ///
    /// It waits only while more is buffered than
    /// [`max_write_buffer_size`](crate::TransportConfig::max_write_buffer_size), 128 KiB by
    /// default: the peer does not read then, and no ping of its is answered meanwhile. A handler
    /// that awaits something else after a `feed` flushes before.
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
    /// [`Error::Io`] if the stream fails, once: afterwards there is nothing left to be written.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time: the next call writes on.
    pub fn flush(&mut self) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        PollFn::new(|cx| self.connection.poll_flush(cx))
    }

    /// Waits until nothing more can be sent: the peer has closed, or the connection has failed.
    ///
    /// Meanwhile it answers pings and the peer's Close, writes what is buffered, and **discards
    /// data that arrives**. It is for handlers that only send: without it nothing would read the
    /// peer's Close. Handlers that also receive use [`next`](Self::next), which does all of this; a
    /// task that waits here counts as the one that receives, and beside one in `next` takes its
    /// wakeups. The answer to the Close is written as far as the stream takes it; `flush`, `close`
    /// or dropping the socket writes the rest.
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
    /// What ended the connection in the place of a Close, as for [`next`](Self::next), unless that
    /// was returned before: [`Error::ClosedWithoutHandshake`], [`Error::Protocol`] or
    /// [`Error::Io`].
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time: the next call waits on. The peer's Close is still returned by
    /// `next`.
    pub fn closed(&mut self) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        PollFn::new(|cx| self.connection.poll_closed(cx, Reading::Allowed))
    }

    /// Closes the connection: sends a Close with `frame`, discards data up to the peer's Close, and
    /// ends the TCP connection (RFC 6455, section 7.1.2).
    ///
    /// `frame` is `None` for a Close without a code, or a code and a reason of at most 123 bytes:
    /// `(CloseCode::Away, "restart")`. After the peer's Close, or after an error that `next`
    /// returned, it only does what is left to do. It takes at most the close timeout, 10 s by
    /// default ([`set_close_timeout`]); without a runtime with timers the Close is written and
    /// nothing waits for the answer. Pings are not answered any more: nothing follows a Close.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMessage`] for a code or reason that may not be sent; the connection is
    /// unharmed. [`Error::Timeout`] if the peer's Close does not come in time,
    /// [`Error::ClosedWithoutHandshake`], [`Error::Protocol`] or [`Error::Io`] if something else
    /// comes in its place, or a message is lost. That a peer which has closed before does not take
    /// our answer is no error.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the Close is buffered; dropped after that, a second call completes the rest,
    /// with a new timeout, and so does dropping the socket.
    ///
    /// [`set_close_timeout`]: crate::WebSocketConfig::set_close_timeout
    pub fn close(
        &mut self,
        frame: impl IntoCloseFrame,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        self.close_in(frame.into_frame(), None)
    }

    /// Closes the connection as [`close`](Self::close) does, with a timeout of its own in the place
    /// of the close timeout.
    ///
    /// The timeout is for the peer's Close and the end of the TCP connection together. With
    /// [`Duration::ZERO`] only what the stream takes at once is written.
    ///
    /// # Errors
    ///
    /// As for [`close`](Self::close). [`Error::NoRuntime`] without a runtime that has timers: the
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

    /// Ends the connection now: drops the stream, without a Close and without waiting for anything.
    ///
    /// It is for peers that do not answer, and for those that abuse the server. Messages that are
    /// buffered are lost, and so are those that have arrived and `next` has not returned. The peer
    /// sees the end of the stream without a Close (code 1006). To send a Close but wait only
    /// briefly, use [`close_within`](Self::close_within). Afterwards `send` returns
    /// [`Error::Closed`], and `next` returns `None`, or first the peer's Close if
    /// [`close`](Self::close) or [`closed`](Self::closed) has read it.
    pub fn abort(&mut self) {
        let (tasks, stream) = self.connection.abort(Side::Sender);
        tasks.wake();
        drop(stream);
    }

    /// Splits the socket into a half that sends and one that receives, for two tasks.
    ///
    /// [`SendHalf::reunite`] puts them together again.
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

impl Stream for WebSocket {
    type Item = Result<Message>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connection.poll_next(cx)
    }
}

/// It is terminated once it has returned `None`.
impl FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.connection.is_terminated()
    }
}

/// Closing the sink sends Close 1000 and flushes; it does not wait for the peer.
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
