//! What leaves: messages of the user's, staged and written in turns.

use std::{
    io,
    task::{Context, Poll, ready},
};

use super::{Engine, Incoming, Outcome, Sending, Side, Unsent, tasks::Reading};
use crate::{CloseCode, CloseFrame, Error, Message, Result, Utf8Bytes, proto::Outgoing};

impl Engine {
    /// Is ready once a message may be sent: not more than the watermark is staged, and the turn is
    /// not over.
    #[inline]
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if self.has_room(cx) {
            return Poll::Ready(Ok(()));
        }
        self.poll_room(cx)
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
            if self.is_enough_staged() {
                self.write_some(cx)?;
            }
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

    /// Writes what is staged and flushes the stream.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_sending(cx, Reading::Never, |this, cx| {
            this.poll_flush_for(Side::Sender, cx)
        })
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

    /// Tells whether a message may be staged without a look at the stream.
    #[inline]
    fn has_room(&self, cx: &Context<'_>) -> bool {
        self.can_send()
            && !self.is_enough_staged()
            && !self.writer.is_turn_over()
            && !self.tasks.is_sender_waiting()
            && !self.tasks.is_other_than_receiver(cx)
    }

    #[inline]
    fn is_enough_staged(&self) -> bool {
        self.writer.outbox.staged() > self.write_buffer
    }

    /// Is ready once there is room for a message, in this turn.
    #[inline(never)]
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.poll_sending(cx, Reading::Never, |this, cx| {
            ready!(this.writer.poll_turn(cx));
            this.take_write_failure(Side::Sender)?;
            if this.is_enough_staged() {
                this.try_write(cx)?;
            }
            if !this.can_send() {
                return Poll::Ready(Err(Box::new(Error::Closed)));
            }
            if this.writer.outbox.staged() > this.watermark {
                // The stream is full, and wakes this task; or else the turn is over.
                let _ = this.writer.poll_turn(cx);
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        })
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
            return self.stage_close(message);
        }
        let frames = self.writer.outbox.push(message, self.fragment);
        self.writer.count_frames(frames);
    }

    #[cold]
    fn stage_close(&mut self, close: &mut Outgoing) {
        self.sending = Sending::Closed;
        // A pong that waits goes before the Close, not behind it.
        self.writer.outbox.push_last_pong();
        let before = self.writer.outbox.len();
        self.writer.outbox.push(close, self.fragment);
        let length = self.writer.outbox.len() - before;
        self.close_len = u8::try_from(length).unwrap_or(u8::MAX);
    }

    /// Writes as much as the stream takes in this turn; does not wait.
    #[inline(never)]
    fn write_some(&mut self, cx: &mut Context<'_>) -> Outcome {
        let written = self.poll_sending(cx, Reading::Never, |this, cx| {
            Poll::Ready(this.try_write(cx))
        });
        match written {
            Poll::Ready(written) => written,
            Poll::Pending => Ok(()),
        }
    }

    fn try_write(&mut self, cx: &mut Context<'_>) -> Outcome {
        let written = self.writer.try_write(self.io.get_mut(), cx);
        written.map_err(|error| Box::new(self.fail_sending(error, Some(Side::Sender))))
    }

    /// Writes what is staged and flushes the stream; `side` is told if it fails, or has failed.
    pub(super) fn poll_flush_for(&mut self, side: Side, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.take_write_failure(side)?;
        let flushed = ready!(self.poll_flush_stream(cx));
        Poll::Ready(flushed.map_err(|error| self.fail_sending(error, Some(side))))
    }

    /// Flushes on nobody's behalf: an error is kept, and returned by the next operation.
    pub(super) fn poll_flush_and_keep_error(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(self.poll_flush_stream(cx)) {
            self.fail_sending(error, None);
        }
        Poll::Ready(())
    }

    /// Flushes what the stream takes now; an error is kept.
    pub(super) fn flush_and_keep_error(&mut self, cx: &mut Context<'_>) {
        let _ = self.poll_flush_and_keep_error(cx);
    }

    fn poll_flush_stream(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.sending != Sending::Failed {
            ready!(self.writer.poll_flush(self.io.get_mut(), cx))?;
            self.end_sending(cx);
        }
        Poll::Ready(Ok(()))
    }

    #[inline]
    pub(super) fn can_send(&self) -> bool {
        self.sending == Sending::Open && self.incoming == Incoming::Open
    }
}

/// Empties the place of a message that may not be sent.
#[cold]
fn refuse(message: &mut Unsent) -> Outcome {
    match message.take() {
        Some(Err(invalid)) => Err(Box::new(invalid.into())),
        _ => Ok(()),
    }
}
