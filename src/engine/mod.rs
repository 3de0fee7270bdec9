//! A connection that lives: the protocol driven over a byte stream, for one task at a time.
//!
//! [`Reader`] and [`Writer`] move bytes, `closing` ends the connection in order, and this module
//! decides what happens when.

use std::{
    fmt, io,
    task::{Context, Poll, ready},
};

use async_tungstenite::tungstenite::protocol::Role;

use self::{
    reader::{End, Reader},
    writer::Writer,
};
use crate::{
    CloseCode, CloseFrame, Error, InvalidMessage, Message, ProtocolError, Result, TransportConfig,
    Utf8Bytes,
    io::BoxIo,
    proto::{Decoder, Outbox, Outgoing, Received, closing_frame},
};

mod budget;
mod closing;
mod reader;
mod scratch;
mod writer;

/// Bytes of pings that a peer may send while it reads no pong, however high the watermark is: what
/// Linux gives a connection of its own accord.
const MAX_UNANSWERED: usize = 128 * 1024;

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
enum Sending {
    /// More may be sent.
    Open,
    /// A Close was staged, as a request, as an answer or for a failure.
    Closed,
    /// A write failed: nothing more can be sent.
    Failed,
}

/// The place of a message that is to be sent: what it is made of, or why it may not be sent.
pub(crate) type Unsent = Option<Result<Outgoing, InvalidMessage>>;

/// What sending has come to. It fits in registers: an error of its full size would be in memory, and to
/// look there whether all went well costs a twentieth of all that is done for a small message.
pub(crate) type Outcome = Result<(), Box<Error>>;

/// What can still be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StageOfLife {
    can_send: bool,
    can_receive: bool,
    is_finished: bool,
}

/// One end of a WebSocket connection.
pub(crate) struct Engine {
    io: BoxIo,
    reader: Reader,
    writer: Writer,
    role: Role,
    incoming: Incoming,
    sending: Sending,
    /// `next` has told the end.
    told_end: bool,
    /// The TCP connection was closed in order, as far as it could be.
    finished: bool,
    /// Staged bytes above which they are written.
    write_buffer: usize,
    /// Staged bytes above which senders wait.
    watermark: usize,
    /// The largest payload of a frame that is sent.
    frame_limit: usize,
    /// Why a write has failed, while nobody was told.
    write_error: Option<io::Error>,
    /// The peer's Close that arrived while `close` was waiting for it; `next` tells it still.
    untold: Option<Box<Message>>,
    /// What went wrong while the connection was being closed.
    finish_error: Option<Box<Error>>,
}

impl Engine {
    /// Starts to speak frames on `io`; `early` is what was read from it already.
    pub(crate) fn new(io: BoxIo, early: Vec<u8>, role: Role, limits: &TransportConfig) -> Self {
        let decoder = Decoder::new(role, limits);
        Self {
            io,
            reader: Reader::new(decoder, early, limits.read_buffer_size),
            writer: Writer::new(Outbox::new(role)),
            role,
            incoming: Incoming::Open,
            sending: Sending::Open,
            told_end: false,
            finished: false,
            write_buffer: limits.write_buffer(),
            watermark: limits.watermark(),
            // The settings of a test are not validated, and 0 would never come to an end.
            frame_limit: limits.max_frame_size.unwrap_or(usize::MAX).max(1),
            write_error: None,
            untold: None,
            finish_error: None,
        }
    }

    /// Returns the next message; staged frames are written before it waits.
    #[inline]
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        let mut received = None;
        ready!(self.poll_message(cx, &mut received));
        Poll::Ready(received)
    }

    /// Comes to the next message, which is put in its place, or to the end, which leaves it empty.
    fn poll_message(&mut self, cx: &mut Context<'_>, received: &mut Received) -> Poll<()> {
        if self.told_end || self.incoming != Incoming::Open {
            self.tell_end(cx, received);
            return Poll::Ready(());
        }
        loop {
            let was_paused = self.is_paused();
            if self.poll_incoming(cx, received).is_ready() {
                break;
            }
            match self.poll_flush(cx) {
                Poll::Ready(Err(error)) => {
                    *received = Some(Err(error));
                    break;
                }
                // Nothing would wake this task for what it may read on.
                Poll::Ready(Ok(())) if was_paused => {}
                _ => return Poll::Pending,
            }
        }
        self.told_end = matches!(received, Some(Err(_)));
        Poll::Ready(())
    }

    /// What `next` tells where nothing more is received.
    #[cold]
    fn tell_end(&mut self, cx: &mut Context<'_>, received: &mut Received) {
        if let Some(close) = self.untold.take() {
            *received = Some(Ok(*close));
            return;
        }
        self.told_end = true;
        // An answer to a Close may still wait to be written.
        let _ = self.poll_flush_untold(cx);
    }

    /// Tells whether `poll_next` has come to its end.
    pub(crate) fn is_terminated(&self) -> bool {
        self.told_end || (self.incoming != Incoming::Open && self.untold.is_none())
    }

    /// Is ready once a message may be sent: not more than the watermark is staged.
    #[inline]
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.write_enough(cx)?;
        if !self.can_send() {
            return Poll::Ready(closed());
        }
        if self.writer.outbox.staged() > self.watermark {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Stages a message.
    pub(crate) fn start_send(&mut self, message: Message) -> Result<()> {
        let mut message = Outgoing::new(message)?;
        if !self.can_send() {
            return Err(Error::Closed);
        }
        self.stage(&mut message);
        Ok(())
    }

    /// Stages a message once there is room, and writes if enough is staged.
    ///
    /// Its place is empty from then on, and an empty place is ready.
    pub(crate) fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Unsent,
    ) -> Poll<Outcome> {
        if message.is_some() {
            ready!(self.poll_stage(cx, message))?;
            self.write_enough(cx)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Stages a message as [`poll_feed`](Self::poll_feed) does, and writes all that is staged.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Unsent,
    ) -> Poll<Outcome> {
        if message.is_some() {
            ready!(self.poll_stage(cx, message))?;
        }
        self.poll_flush(cx).map_err(Box::new)
    }

    /// Stages a message once there is room.
    #[inline]
    fn poll_stage(&mut self, cx: &mut Context<'_>, message: &mut Unsent) -> Poll<Outcome> {
        ready!(self.poll_ready(cx))?;
        match message.as_mut() {
            Some(Ok(message)) => self.stage(message),
            _ => return Poll::Ready(refuse(message)),
        }
        *message = None;
        Poll::Ready(Ok(()))
    }

    /// Stages a message, which may be sent.
    #[inline]
    fn stage(&mut self, message: &mut Outgoing) {
        if message.is_close() {
            self.sending = Sending::Closed;
            // A pong that waits goes before the Close, not behind it.
            self.writer.outbox.push_last_pong();
        }
        self.writer.outbox.push(message, self.frame_limit);
    }

    /// Writes what is staged and flushes the stream.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.told_write_error()?;
        if self.sending == Sending::Failed {
            return Poll::Ready(Ok(()));
        }
        let flushed = ready!(self.writer.poll_flush(&mut self.io, cx));
        flushed.map_err(|error| self.fail_sending(error))?;
        self.end_sending(cx);
        Poll::Ready(Ok(()))
    }

    /// Stages a Close frame, unless one was, or nobody is left to read it.
    pub(crate) fn start_close(&mut self, frame: Option<CloseFrame>) -> Result<()> {
        let mut close = Outgoing::new(Message::Close(frame))?;
        if self.can_send() {
            self.stage(&mut close);
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
        self.start_close(Some(frame))?;
        self.poll_flush(cx)
    }

    /// Returns what a task has to hear of that waits on this connection while another one drives it.
    pub(crate) fn stage_of_life(&self) -> StageOfLife {
        StageOfLife {
            can_send: self.can_send(),
            can_receive: self.incoming == Incoming::Open || self.untold.is_some(),
            is_finished: self.finished,
        }
    }

    #[inline]
    fn can_send(&self) -> bool {
        self.sending == Sending::Open && self.incoming == Incoming::Open
    }

    /// Reads on, up to the next message, which is put in its place; a failure is answered by a Close
    /// frame.
    #[inline]
    fn poll_incoming(&mut self, cx: &mut Context<'_>, received: &mut Received) -> Poll<()> {
        if self.is_paused() {
            ready!(self.poll_flush_untold(cx));
        }
        if let Err(end) = ready!(self.reader.poll(&mut self.io, cx, received)) {
            *received = Some(Err(self.end_receiving(cx, end)));
            return Poll::Ready(());
        }
        if let Some(Ok(control @ (Message::Ping(_) | Message::Close(_)))) = received {
            self.answer(cx, control);
        }
        Poll::Ready(())
    }

    /// Answers a ping or a Close.
    #[inline(never)]
    fn answer(&mut self, cx: &mut Context<'_>, message: &Message) {
        match message {
            Message::Ping(payload) if self.sending == Sending::Open => {
                // The pong before has to make room: a peer that reads is sent them all.
                if self.writer.outbox.is_pong_staged() {
                    let _ = self.poll_flush_untold(cx);
                }
                self.writer.outbox.push_pong(payload.clone());
            }
            Message::Close(frame) => self.answer_close(cx, frame.clone()),
            _ => {}
        }
    }

    /// No message comes any more, and this is why.
    #[cold]
    fn end_receiving(&mut self, cx: &mut Context<'_>, end: End) -> Error {
        let error = match end {
            End::Violation(violation) => return self.fail(cx, violation),
            End::Stream => Error::ClosedWithoutHandshake,
            End::Failed(error) => Error::Io(error),
        };
        self.stop_receiving(Incoming::Gone);
        error
    }

    /// Answers the peer's Close (RFC 6455, section 5.5.1); tries to write the answer.
    fn answer_close(&mut self, cx: &mut Context<'_>, frame: Option<CloseFrame>) {
        self.writer.outbox.forget_waiting_pong();
        // What was received may be sent.
        let _ = self.start_close(frame);
        self.stop_receiving(Incoming::Closed);
        let _ = self.poll_flush_untold(cx);
    }

    /// Fails the connection (RFC 6455, section 7.1.7): tells the peer why, and parses nothing more.
    fn fail(&mut self, cx: &mut Context<'_>, violation: ProtocolError) -> Error {
        // Whether the Close gets through is no matter of who made the failure.
        let _ = self.start_close(Some(closing_frame(&violation)));
        self.stop_receiving(Incoming::Failed);
        let _ = self.poll_flush_untold(cx);
        violation.into()
    }

    /// A peer that sends pings and reads no pongs is not read from until it does. Messages of the
    /// user's do not count, or two peers that send first would both wait.
    #[inline]
    fn is_paused(&self) -> bool {
        let unanswered = self.writer.outbox.unanswered_pings();
        unanswered > 0 && unanswered > self.watermark.min(MAX_UNANSWERED)
    }

    fn stop_receiving(&mut self, end: Incoming) {
        self.incoming = end;
        self.reader.forget();
    }

    /// Writes if enough is staged; does not wait.
    #[inline]
    fn write_enough(&mut self, cx: &mut Context<'_>) -> Outcome {
        if self.write_error.is_none() && self.writer.outbox.staged() <= self.write_buffer {
            return Ok(());
        }
        self.write_some(cx).map_err(Box::new)
    }

    /// Writes as much as the stream takes.
    #[inline(never)]
    fn write_some(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.told_write_error()?;
        match self.writer.poll_write(&mut self.io, cx) {
            Poll::Ready(Err(error)) => Err(self.fail_sending(error)),
            _ => Ok(()),
        }
    }

    /// Flushes where nobody would be told that it fails: who asks next is.
    fn poll_flush_untold(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(Error::Io(error)) = ready!(self.poll_flush(cx)) {
            self.write_error = Some(error);
        }
        Poll::Ready(())
    }

    /// Nothing more can be sent.
    fn fail_sending(&mut self, error: io::Error) -> Error {
        self.sending = Sending::Failed;
        self.writer.outbox.clear();
        error.into()
    }

    /// Tells of a write that has failed before.
    fn told_write_error(&mut self) -> Result<()> {
        match self.write_error.take() {
            Some(error) => Err(self.fail_sending(error)),
            None => Ok(()),
        }
    }
}

#[cold]
fn closed() -> Outcome {
    Err(Box::new(Error::Closed))
}

/// Empties the place of a message that may not be sent.
#[cold]
fn refuse(message: &mut Unsent) -> Outcome {
    match message.take() {
        Some(Err(invalid)) => Err(Box::new(invalid.into())),
        _ => Ok(()),
    }
}

/// Tells the state, not the bytes in the buffers: they are the users' messages.
impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("role", &self.role)
            .field("incoming", &self.incoming)
            .field("sending", &self.sending)
            .field("staged", &self.writer.outbox.staged())
            .finish_non_exhaustive()
    }
}
