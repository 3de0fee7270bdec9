//! What leaves: messages of the user's, buffered and written in turns.

use std::{
    io,
    task::{Context, Poll, ready},
};

use super::{Driver, RecvState, SendResult, SendSlot, SendState, Side, tasks::Reading};
use crate::{CloseCode, CloseFrame, Error, Message, Result, Utf8Bytes, proto::Outgoing};

impl Driver {
    /// Is ready once a message may be sent: not more than the watermark is buffered, and the turn
    /// is not over.
    #[inline]
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<SendResult> {
        if self.has_room(cx) {
            return Poll::Ready(Ok(()));
        }
        self.poll_room(cx)
    }

    /// Buffers a message.
    pub(crate) fn start_send(&mut self, message: Message) -> Result<()> {
        let mut message = Outgoing::new(message)?;
        if !self.can_send() {
            return Err(Error::Closed);
        }
        self.push(&mut message);
        Ok(())
    }

    /// Buffers a message once there is room, and writes if enough is buffered.
    ///
    /// Its place is empty from then on, and an empty place is ready.
    pub(crate) fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut SendSlot,
    ) -> Poll<SendResult> {
        if message.is_some() {
            ready!(self.poll_buffer(cx, message))?;
            if self.is_enough_buffered() {
                self.write_some(cx)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Buffers a message as [`poll_feed`](Self::poll_feed) does, and writes all that is buffered.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut SendSlot,
    ) -> Poll<SendResult> {
        if message.is_some() {
            ready!(self.poll_buffer(cx, message))?;
        }
        self.poll_flush(cx).map_err(Box::new)
    }

    /// Writes what is buffered and flushes the stream.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_sending(cx, Reading::Never, |this, cx| {
            this.poll_flush_for(Side::Sender, cx)
        })
    }

    /// Buffers a Close frame, unless one was, or nobody is left to read it.
    pub(crate) fn start_close(&mut self, frame: Option<CloseFrame>) -> Result<()> {
        let mut close = Outgoing::new(Message::Close(frame))?;
        if self.can_send() {
            self.push(&mut close);
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

    /// Tells whether a message may be buffered without a look at the stream.
    #[inline]
    fn has_room(&self, cx: &Context<'_>) -> bool {
        self.can_send()
            && !self.is_enough_buffered()
            && !self.writer.is_turn_over()
            && !self.tasks.is_sender_waiting()
            && !self.tasks.is_other_than_receiver(cx)
    }

    #[inline]
    fn is_enough_buffered(&self) -> bool {
        self.writer.write_buffer.buffered() > self.write_buffer_size
    }

    /// Is ready once there is room for a message, in this turn.
    #[inline(never)]
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<SendResult> {
        self.poll_sending(cx, Reading::Never, |this, cx| {
            ready!(this.writer.poll_turn(cx));
            this.take_write_failure(Side::Sender)?;
            if this.is_enough_buffered() {
                this.try_write(cx)?;
            }
            if !this.can_send() {
                return Poll::Ready(Err(Box::new(Error::Closed)));
            }
            if this.writer.write_buffer.buffered() > this.watermark {
                // The stream is full, and wakes this task; or else the turn is over.
                let _ = this.writer.poll_turn(cx);
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Buffers a message once there is room.
    #[inline]
    fn poll_buffer(&mut self, cx: &mut Context<'_>, message: &mut SendSlot) -> Poll<SendResult> {
        ready!(self.poll_ready(cx))?;
        match message.as_mut() {
            Some(Ok(message)) => self.push(message),
            _ => return Poll::Ready(refuse(message)),
        }
        *message = None;
        Poll::Ready(Ok(()))
    }

    /// Buffers a message, which may be sent.
    #[inline]
    fn push(&mut self, message: &mut Outgoing) {
        if message.is_close() {
            return self.push_close(message);
        }
        let frames = self.writer.write_buffer.push(message, self.fragment);
        self.writer.count_frames(frames);
    }

    #[cold]
    fn push_close(&mut self, close: &mut Outgoing) {
        self.sending = SendState::Closed;
        // A pong that waits goes before the Close, not behind it.
        self.writer.write_buffer.push_last_pong();
        let before = self.writer.write_buffer.len();
        self.writer.write_buffer.push(close, self.fragment);
        let length = self.writer.write_buffer.len() - before;
        self.close_len = u8::try_from(length).unwrap_or(u8::MAX);
    }

    /// Writes as much as the stream takes in this turn; does not wait.
    #[inline(never)]
    fn write_some(&mut self, cx: &mut Context<'_>) -> SendResult {
        let written = self.poll_sending(cx, Reading::Never, |this, cx| {
            Poll::Ready(this.try_write(cx))
        });
        match written {
            Poll::Ready(written) => written,
            Poll::Pending => Ok(()),
        }
    }

    fn try_write(&mut self, cx: &mut Context<'_>) -> SendResult {
        let written = self.writer.try_write(self.io.get_mut(), cx);
        written.map_err(|error| Box::new(self.fail_sending(error, Some(Side::Sender))))
    }

    /// Writes what is buffered and flushes the stream; `side` is told if it fails, or has failed.
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
        if self.sending != SendState::Failed {
            ready!(self.writer.poll_flush(self.io.get_mut(), cx))?;
            self.end_sending(cx);
        }
        Poll::Ready(Ok(()))
    }

    #[inline]
    pub(super) fn can_send(&self) -> bool {
        self.sending == SendState::Open && self.incoming == RecvState::Open
    }
}

/// Empties the place of a message that may not be sent.
#[cold]
fn refuse(message: &mut SendSlot) -> SendResult {
    match message.take() {
        Some(Err(invalid)) => Err(Box::new(invalid.into())),
        _ => Ok(()),
    }
}
