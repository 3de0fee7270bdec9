//! The end: `closed`, `close` and `abort`.

use std::{
    task::{Poll, ready},
    time::Duration,
};

use futures_core::future::FusedFuture;

use super::{IntoCloseFrame, WebSocket};
use crate::{
    connection::{Closer, Reading, Side},
    error::Result,
    future::PollFn,
    message::CloseFrame,
};

impl WebSocket {
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
    /// it was returned before.
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
    /// [`Error::ClosedWithoutHandshake`]: crate::Error::ClosedWithoutHandshake
    /// [`Error::InvalidMessage`]: crate::Error::InvalidMessage
    /// [`Error::Io`]: crate::Error::Io
    /// [`Error::Protocol`]: crate::Error::Protocol
    /// [`Error::Timeout`]: crate::Error::Timeout
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
    ///
    /// [`Error::NoRuntime`]: crate::Error::NoRuntime
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
    ///
    /// [`Error::Closed`]: crate::Error::Closed
    pub fn abort(&mut self) {
        let (tasks, stream) = self.connection.abort(Side::Sender);
        tasks.wake();
        drop(stream);
    }
}
