//! Sending: buffers the user's messages in the endpoint, and writes them in turns.

use std::{
    io,
    task::{Context, Poll, ready},
};

use super::{Driver, SendResult, SendSlot, Side, Unsent, tasks::Reading};
use crate::{
    error::{Error, Result},
    life::{Behind, Queue},
    message::{CloseCode, CloseFrame, Message, Utf8Bytes},
    proto::{Outgoing, PreparedMessage},
};

impl Driver {
    /// Waits until a message may be sent: the watermark is not exceeded, and the turn is not over.
    #[inline]
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<SendResult> {
        if self.has_room(cx) {
            return Poll::Ready(Ok(()));
        }
        let mut behind = self.queue().and_then(Queue::take_sink_mark);
        let ready = self.poll_room(cx, &mut behind);
        if let Some(queue) = self.queue().filter(|_| ready.is_pending()) {
            queue.keep_sink_mark(behind);
        }
        ready
    }

    /// Returns whether messages may be sent.
    pub(crate) fn can_send(&self) -> bool {
        self.endpoint.can_send()
    }

    /// Buffers a message.
    pub(crate) fn start_send(&mut self, message: Message) -> Result<()> {
        let mut message = Outgoing::new(message)?;
        if !self.endpoint.can_send() {
            return Err(Error::Closed);
        }
        self.push(&mut message);
        Ok(())
    }

    /// Buffers a message once there is space, and writes if enough is buffered.
    ///
    /// The slot is empty afterwards. With an empty slot, the call is ready at once.
    pub(crate) fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        slot: &mut SendSlot,
    ) -> Poll<SendResult> {
        if slot.message.is_some() {
            ready!(self.poll_buffer(cx, slot))?;
            if self.endpoint.should_write() {
                self.write_some(cx)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Buffers a message as [`poll_feed`](Self::poll_feed) does, and writes everything that is
    /// buffered.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        slot: &mut SendSlot,
    ) -> Poll<SendResult> {
        if slot.message.is_some() {
            ready!(self.poll_buffer(cx, slot))?;
        }
        self.poll_written(cx).map_err(Box::new)
    }

    /// Writes what is buffered and what senders have queued, and flushes the stream.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_flush_behind(cx, &mut None)
    }

    /// Writes what is buffered and what senders had queued in the first poll, and flushes the
    /// stream.
    pub(crate) fn poll_flush_behind(
        &mut self,
        cx: &mut Context<'_>,
        behind: &mut Behind,
    ) -> Poll<Result<()>> {
        loop {
            let is_behind = self.is_behind(behind);
            if !is_behind {
                self.take_queued(Side::Sender)?;
            }
            ready!(self.poll_written(cx))?;
            if is_behind || !self.endpoint.can_send() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Writes what is buffered and flushes the stream.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_sending(cx, Reading::Never, |this, cx| {
            this.poll_flush_for(Side::Sender, cx)
        })
    }

    /// Buffers a Close frame, unless nothing may be sent any more.
    pub(crate) fn start_close(&mut self, frame: Option<CloseFrame>) -> Result<()> {
        let mut close = Outgoing::new(Message::Close(frame))?;
        self.take_all_queued();
        if self.endpoint.can_send() {
            self.endpoint.send(&mut close);
        }
        Ok(())
    }

    /// Closes the sending direction for `forward`: writes Close 1000, and does not wait for the
    /// peer's Close.
    pub(crate) fn poll_close_sink(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: Utf8Bytes::default(),
        };
        self.start_close(Some(frame))?;
        self.poll_flush(cx)
    }

    /// Returns whether a message may be buffered without polling the stream.
    #[inline]
    fn has_room(&self, cx: &Context<'_>) -> bool {
        self.endpoint.can_send()
            && !self.endpoint.should_write()
            && !self.endpoint.is_compressing()
            && !self.writer.is_turn_over()
            && !self.tasks.is_sender_waiting()
            && !self.tasks.is_other_than_receiver(cx)
            && !self.is_attention_due()
    }

    /// Waits until there is space for a message in this turn.
    #[inline(never)]
    fn poll_room(&mut self, cx: &mut Context<'_>, behind: &mut Behind) -> Poll<SendResult> {
        self.poll_sending(cx, Reading::Never, |this, cx| {
            ready!(this.writer.poll_turn(cx));
            loop {
                // What was queued before is sent before.
                let is_behind = this.is_behind(behind);
                this.take_queued(Side::Sender)?;
                this.take_write_failure(Side::Sender)?;
                this.follow_tracker(Side::Sender)?;
                if this.endpoint.should_write() || this.endpoint.is_compressing() {
                    this.try_write(cx)?;
                }
                if !this.endpoint.can_send() {
                    // The Close of a drain.
                    this.flush_and_keep_error(cx);
                    return Poll::Ready(Err(Box::new(Error::Closed)));
                }
                if let Err(error) = this.check_age(Side::Sender) {
                    // The Close.
                    this.flush_and_keep_error(cx);
                    return Poll::Ready(Err(Box::new(error)));
                }
                if this.endpoint.is_full() {
                    // Either the stream is full and will wake this task, or the turn is over.
                    let _ = this.writer.poll_turn(cx);
                    return Poll::Pending;
                }
                if is_behind || this.is_behind(behind) {
                    return Poll::Ready(Ok(()));
                }
                ready!(this.writer.poll_turn(cx));
            }
        })
    }

    /// Buffers a message once there is space.
    #[inline]
    fn poll_buffer(&mut self, cx: &mut Context<'_>, slot: &mut SendSlot) -> Poll<SendResult> {
        if !self.has_room(cx) {
            ready!(self.poll_room(cx, &mut slot.behind))?;
        }
        match slot.message.as_mut() {
            Some(Unsent::Own(message)) => self.push(message),
            _ => return Poll::Ready(self.push_other(slot)),
        }
        slot.message = None;
        Poll::Ready(Ok(()))
    }

    /// Buffers a prepared message, or empties the slot of one that may not be sent.
    #[inline(never)]
    fn push_other(&mut self, slot: &mut SendSlot) -> SendResult {
        if let Some(Unsent::Prepared(message)) = slot.message.take() {
            self.push_prepared(message)?;
        }
        Ok(())
    }

    /// Buffers a prepared message, if it may be sent.
    pub(super) fn push_prepared(&mut self, message: PreparedMessage) -> Result<()> {
        match message.check() {
            Ok(message) => self.record_sent(message),
            Err(invalid) => return Err(invalid.clone().into()),
        }
        let frames = self.endpoint.send_prepared(message);
        self.writer.count_frames(frames);
        Ok(())
    }

    /// Buffers a message that may be sent.
    #[inline]
    pub(super) fn push(&mut self, message: &mut Outgoing) {
        if self.life.is_some() {
            self.record_sent(message);
        }
        let frames = self.endpoint.send(message);
        self.writer.count_frames(frames);
    }

    /// Writes as much as the stream accepts in this turn, without waiting.
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
        loop {
            let buffer = self.endpoint.write_buffer();
            let written = self.writer.try_write(self.io.get_mut(), buffer, cx);
            written.map_err(|error| Box::new(self.fail_sending(error, Some(Side::Sender))))?;
            if !self.endpoint.is_compressing() || self.writer.is_turn_over() {
                return Ok(());
            }
            // After the write, so that what is buffered does not wait for the message.
            self.compress();
        }
    }

    /// Writes what is buffered and flushes the stream. If that fails, or has failed before, `side`
    /// gets the error.
    #[inline]
    pub(super) fn poll_flush_for(&mut self, side: Side, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.take_write_failure(side)?;
        let flushed = ready!(self.poll_flush_stream(cx));
        Poll::Ready(flushed.map_err(|error| self.fail_sending(error, Some(side))))
    }

    /// Flushes on nobody's behalf: an error is kept, and the next operation returns it.
    pub(super) fn poll_flush_and_keep_error(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(self.poll_flush_stream(cx)) {
            self.fail_sending(error, None);
        }
        Poll::Ready(())
    }

    /// Flushes what the stream accepts now; an error is kept.
    pub(super) fn flush_and_keep_error(&mut self, cx: &mut Context<'_>) {
        let _ = self.poll_flush_and_keep_error(cx);
    }

    /// Compresses a message, in turns.
    #[cold]
    fn poll_compress(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.endpoint.is_compressing() {
            ready!(self.writer.poll_turn(cx));
            // Answers to pings do not wait for the message.
            let buffer = self.endpoint.write_buffer();
            let _ = self.writer.poll_flush(self.io.get_mut(), buffer, cx)?;
            self.compress();
        }
        Poll::Ready(Ok(()))
    }

    /// Compresses the next part of a message.
    fn compress(&mut self) {
        let work = self.endpoint.go_on_compressing();
        self.writer.count_frames(work);
    }

    fn poll_flush_stream(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.endpoint.can_write() {
            if self.endpoint.is_compressing() {
                ready!(self.poll_compress(cx))?;
            }
            let buffer = self.endpoint.write_buffer();
            ready!(self.writer.poll_flush(self.io.get_mut(), buffer, cx))?;
            self.end_sending(cx);
        }
        Poll::Ready(Ok(()))
    }
}
