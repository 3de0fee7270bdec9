//! Frames and messages over a byte stream, for one task at a time.
//!
//! It stands on `async_tungstenite::WebSocketStream`, of which only the message vocabulary is
//! public; what this crate promises beyond it is added here: a write bound that takes a message of
//! any size, a Close frame for every failure, and the TCP close order.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as TungsteniteError,
        protocol::{Role, WebSocketConfig as TungsteniteConfig},
    },
};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::{FutureExt, Sink, Stream};

use self::metered::Metered;
use crate::{
    CloseCode, CloseFrame, Error, Message, ProtocolError, Result, TransportConfig, Utf8Bytes,
    error::Phase, io::BoxIo,
};

mod metered;
mod outgoing;
mod tungstenite;

/// Messages and reads for which a closing connection may keep its thread, before others get a turn.
const CLOSING_BUDGET: usize = 32;

/// Bytes of pongs that wait at most for a peer that reads none, however high the watermark is:
/// tungstenite's default for that is no limit.
const MAX_PONGS: usize = 128 * 1024;

/// More than any stream gives at once, and little enough to be allocated.
const MAX_READ_BUFFER: usize = 16 * 1024 * 1024;

/// How far the messages from the peer have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Incoming {
    /// More may come.
    Open,
    /// The peer's Close was received.
    Closed,
    /// The peer broke the protocol: its bytes are not parsed any more.
    Failed,
    /// The stream ended or failed.
    Gone,
}

/// How far the messages to the peer have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outgoing {
    /// More may be sent.
    Open,
    /// A Close was staged, as a request, as an answer or for a failure.
    Closed,
    /// A write failed: nothing more can be sent.
    Failed,
}

/// What can still be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StageOfLife {
    can_send: bool,
    can_receive: bool,
    is_finished: bool,
}

/// One end of a WebSocket connection.
pub(crate) struct Engine {
    stream: WebSocketStream<Metered>,
    role: Role,
    limits: TransportConfig,
    incoming: Incoming,
    outgoing: Outgoing,
    /// Bytes of pongs among what is staged, at most.
    pongs: usize,
    /// `next` has told the end.
    told_end: bool,
    /// The peer's Close that arrived while `close` was waiting for it; `next` tells it still.
    untold: Option<Message>,
    /// What went wrong while the connection was being closed.
    finish_error: Option<Error>,
    /// The TCP connection was closed in order, as far as it could be.
    finished: bool,
}

impl Engine {
    /// Starts to speak frames on `io`; `early` is what was read from it already.
    pub(crate) fn new(io: BoxIo, early: Vec<u8>, role: Role, limits: TransportConfig) -> Self {
        let config = TungsteniteConfig::default()
            .read_buffer_size(limits.read_buffer_size.min(MAX_READ_BUFFER))
            .write_buffer_size(limits.write_buffer_size)
            // The bound is kept here: tungstenite's refuses a single message larger than it.
            .max_write_buffer_size(usize::MAX)
            .max_message_size(limits.max_message_size)
            // No frame of a message may be larger than the message: its header alone tells.
            .max_frame_size(at_most(limits.max_frame_size, limits.max_message_size))
            .accept_unmasked_frames(limits.accept_unmasked_frames);
        let stream =
            WebSocketStream::from_partially_read(Metered::new(io), early, role, Some(config))
                .now_or_never()
                .expect("without a handshake there is nothing to wait for");
        Self {
            stream,
            role,
            limits,
            incoming: Incoming::Open,
            outgoing: Outgoing::Open,
            pongs: 0,
            told_end: false,
            untold: None,
            finish_error: None,
            finished: false,
        }
    }

    /// Returns the next message; staged frames are written before it waits.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        if let Some(close) = self.untold.take() {
            return Poll::Ready(Some(Ok(close)));
        }
        if self.told_end || self.incoming != Incoming::Open {
            self.told_end = true;
            return Poll::Ready(None);
        }
        match self.poll_incoming(cx) {
            Poll::Pending => match self.poll_flush(cx) {
                Poll::Ready(Err(error)) => {
                    self.told_end = true;
                    Poll::Ready(Some(Err(error)))
                }
                _ => Poll::Pending,
            },
            Poll::Ready(item) => {
                self.told_end = !matches!(item, Some(Ok(_)));
                Poll::Ready(item)
            }
        }
    }

    /// Tells whether `poll_next` has come to its end.
    pub(crate) fn is_terminated(&self) -> bool {
        self.told_end || (self.incoming != Incoming::Open && self.untold.is_none())
    }

    /// Is ready once a message may be sent: not more than the watermark is staged.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.pongs > 0 && self.can_send() {
            // tungstenite would put the pong behind the next message, which may be a Close.
            let _ = self.poll_flush(cx)?;
        }
        loop {
            if !self.can_send() {
                return Poll::Ready(Err(Error::Closed));
            }
            if self.io().staged() <= self.limits.watermark() {
                return Poll::Ready(Ok(()));
            }
            let flushed = self.poll_flush(cx)?;
            if flushed.is_pending() && self.io().staged() > self.limits.watermark() {
                return Poll::Pending;
            }
        }
    }

    /// Stages a message, and writes when enough is staged.
    pub(crate) fn start_send(&mut self, message: Message) -> Result<()> {
        outgoing::check(&message)?;
        if !self.can_send() {
            return Err(Error::Closed);
        }
        if message.is_close() {
            self.outgoing = Outgoing::Closed;
        }
        for frame in outgoing::frames(message, self.limits.max_frame_size) {
            self.stage(frame)?;
        }
        Ok(())
    }

    /// Writes what is staged and flushes the stream.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.outgoing == Outgoing::Failed {
            return Poll::Ready(Ok(()));
        }
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        if self.incoming == Incoming::Closed {
            // tungstenite's server writes the answer to a Close, but does not flush the stream.
            let _ = ready!(Pin::new(self.io_mut()).poll_flush(cx));
        }
        self.io_mut().forget_staged();
        self.pongs = 0;
        Poll::Ready(self.written(flushed))
    }

    /// Stages a Close frame, unless one was, or nobody is left to read it.
    pub(crate) fn start_close(
        &mut self,
        cx: &mut Context<'_>,
        frame: Option<CloseFrame>,
    ) -> Result<()> {
        let close = Message::Close(frame);
        outgoing::check(&close)?;
        if self.can_send() {
            // A pong that waits goes before the Close, not behind it.
            let _ = self.poll_flush(cx)?;
            self.outgoing = Outgoing::Closed;
            self.stage(close)?;
        }
        Ok(())
    }

    /// Closes the sending direction as `forward` wants it: Close 1000, written, without waiting for
    /// the peer's.
    pub(crate) fn poll_close_sink(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: Utf8Bytes::default(),
        };
        self.start_close(cx, Some(frame))?;
        self.poll_flush(cx)
    }

    /// Completes the closing handshake and closes the TCP connection (RFC 6455, section 7.1.1):
    /// writes what is staged, discards data up to the peer's Close, shuts down the write side and
    /// waits for the end of the stream.
    ///
    /// Is an error if the connection failed before the peer's Close and nobody was told so yet.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut budget = CLOSING_BUDGET;
        // A write that waits keeps nobody from reading: the peer may wait for that.
        let _ = self.poll_flush_finally(cx);
        while self.incoming == Incoming::Open {
            if budget == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            budget -= 1;
            match ready!(self.poll_incoming(cx)) {
                Some(Ok(close @ Message::Close(_))) => self.untold = Some(close),
                Some(Err(error)) => self.finish_error = Some(error),
                Some(Ok(_)) | None => {}
            }
        }
        ready!(self.poll_flush_finally(cx));
        if !self.finished {
            ready!(self.poll_end_stream(cx, budget));
            self.finished = true;
        }
        Poll::Ready(self.finish_error.take().map_or(Ok(()), Err))
    }

    fn poll_flush_finally(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(self.poll_flush(cx)) {
            self.finish_error = Some(error);
        }
        Poll::Ready(())
    }

    /// Tells whether nothing is left to be done but to drop the stream.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Stops waiting for the peer: nothing is read or written any more. It is an error unless the
    /// peer's Close had come, after which only the end of the TCP connection was missing.
    pub(crate) fn give_up(&mut self) -> Result<()> {
        let completed = self.incoming == Incoming::Closed && self.io().staged() == 0;
        self.outgoing = Outgoing::Failed;
        self.finished = true;
        if self.incoming == Incoming::Open {
            self.incoming = Incoming::Gone;
        }
        let timeout = || Error::Timeout(Phase::Close);
        let error = self
            .finish_error
            .take()
            .or_else(|| (!completed).then(timeout));
        error.map_or(Ok(()), Err)
    }

    /// Returns what a task has to hear of that waits on this connection while another one drives it.
    pub(crate) fn stage_of_life(&self) -> StageOfLife {
        StageOfLife {
            can_send: self.can_send(),
            can_receive: self.incoming == Incoming::Open || self.untold.is_some(),
            is_finished: self.finished,
        }
    }

    fn can_send(&self) -> bool {
        self.outgoing == Outgoing::Open && self.incoming == Incoming::Open
    }

    fn io(&self) -> &Metered {
        self.stream.get_ref()
    }

    fn io_mut(&mut self) -> &mut Metered {
        self.stream.get_mut()
    }

    /// Reads on; a failure is answered by a Close frame.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        // A peer that sends pings and reads no pongs is not read from until it does: pongs wait in
        // memory. Messages of the user's do not count, or two peers that send first would both wait.
        if self.pongs > self.limits.watermark().min(MAX_PONGS) {
            let _ = ready!(self.poll_flush(cx));
        }
        let item = match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
            Some(Ok(message)) => Some(Ok(message)),
            Some(Err(error)) => Some(Err(tungstenite::read_error(error))),
            // The stream ended after both Close frames.
            None => None,
        };
        match &item {
            Some(Ok(Message::Ping(payload))) if self.outgoing == Outgoing::Open => {
                let length = outgoing::frame_len(payload.len(), self.role);
                self.io_mut().add_staged(length);
                self.pongs += length;
            }
            Some(Ok(Message::Close(_))) => {
                self.incoming = Incoming::Closed;
                // tungstenite has staged the answer.
                self.outgoing = Outgoing::Closed;
                let _ = self.poll_flush(cx);
            }
            Some(Ok(_)) => {}
            Some(Err(Error::Protocol(error))) => {
                let frame = close_frame(error);
                // Whether the Close gets through is no matter of who made the failure.
                let _ = self.start_close(cx, Some(frame));
                self.incoming = Incoming::Failed;
                let _ = self.poll_flush(cx);
            }
            Some(Err(_)) | None => self.incoming = Incoming::Gone,
        }
        Poll::Ready(item)
    }

    fn stage(&mut self, message: Message) -> Result<()> {
        let length = outgoing::frame_len(outgoing::payload_len(&message), self.role);
        self.io_mut().add_staged(length);
        let staged = Pin::new(&mut self.stream).start_send(message);
        self.written(staged)
    }

    /// Tells of a failed write, also of one that tungstenite was not told of.
    fn written(&mut self, result: Result<(), TungsteniteError>) -> Result<()> {
        let failure = self.io_mut().take_failure().map(TungsteniteError::Io);
        failure.map_or(result, Err).map_err(|error| {
            self.outgoing = Outgoing::Failed;
            tungstenite::write_error(error)
        })
    }

    /// Shuts down the write side and discards what arrives, to the end of the stream.
    fn poll_end_stream(&mut self, cx: &mut Context<'_>, mut budget: usize) -> Poll<()> {
        // RFC 6455, section 7.1.1: the server ends the TCP connection first, so that it is the one
        // to hold the TIME_WAIT state.
        if self.role == Role::Server || self.incoming != Incoming::Closed {
            ready!(self.poll_shut_down(cx));
        }
        let mut scratch = [0; 4096];
        while budget > 0 {
            budget -= 1;
            match ready!(Pin::new(self.io_mut()).poll_read(cx, &mut scratch)) {
                // The server, which went first, waits for the client's end.
                Ok(0) => return self.poll_shut_down(cx),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Poll::Ready(()),
                _ => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// A stream that cannot be shut down is about to be dropped anyway.
    fn poll_shut_down(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(self.io_mut()).poll_close(cx).map(drop)
    }
}

/// Returns the lower one of two limits of payloads, of which each may be none; control frames pass
/// in any case (RFC 6455, section 5.5).
fn at_most(a: Option<usize>, b: Option<usize>) -> Option<usize> {
    a.into_iter()
        .chain(b)
        .min()
        .map(|limit| limit.max(outgoing::MAX_CONTROL))
}

/// Tells the state, not the bytes in the buffers: they are the users' messages.
impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("role", &self.role)
            .field("incoming", &self.incoming)
            .field("outgoing", &self.outgoing)
            .field("staged", &self.io().staged())
            .finish_non_exhaustive()
    }
}

/// Tells the peer what it did wrong. The texts are short enough for a Close frame, all but those
/// with sizes in them, which the code tells well enough.
fn close_frame(error: &ProtocolError) -> CloseFrame {
    let reason = match error {
        ProtocolError::TooLarge { .. } => Utf8Bytes::from_static("message too large"),
        error => error.to_string().into(),
    };
    CloseFrame {
        code: error.close_code(),
        reason,
    }
}

/// The Close frame of a socket that its user dropped: 1011 while a panic unwinds (RFC 6455, section
/// 7.4.1).
pub(crate) fn drop_frame() -> CloseFrame {
    let code = if std::thread::panicking() {
        CloseCode::Error
    } else {
        CloseCode::Normal
    };
    CloseFrame {
        code,
        reason: Utf8Bytes::default(),
    }
}
