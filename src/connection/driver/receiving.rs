//! What arrives: messages for the user, and the answers that the protocol demands.

use std::task::{Context, Poll, ready};

use super::{Driver, MAX_UNANSWERED, ReceivedClose, RecvState, SendState, Side, reader::End};
use crate::{
    CloseFrame, Error, Message, ProtocolError, Result,
    proto::{RecvSlot, closing_frame},
};

impl Driver {
    /// Returns the next message; buffered frames are written before it waits.
    #[inline]
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        let mut received = None;
        ready!(self.poll_receiving(cx, |this, cx| this.poll_message(cx, &mut received)));
        Poll::Ready(received)
    }

    /// Returns the next text or binary message; control frames are answered and left out.
    #[inline]
    pub(crate) fn poll_next_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        loop {
            match ready!(self.poll_next(cx)) {
                Some(Ok(message)) if !(message.is_text() || message.is_binary()) => {}
                next => return Poll::Ready(next),
            }
        }
    }

    /// Comes to the next message, which is put in its place, or to the end, which leaves it empty.
    fn poll_message(&mut self, cx: &mut Context<'_>, received: &mut RecvSlot) -> Poll<()> {
        if self.incoming != RecvState::Open {
            self.finish_stream(cx, received);
            return Poll::Ready(());
        }
        loop {
            let was_paused = self.is_paused();
            if self.poll_incoming(cx, received).is_ready() {
                break;
            }
            match self.poll_flush_for(Side::Receiver, cx) {
                Poll::Ready(Err(error)) => {
                    *received = Some(Err(error));
                    break;
                }
                // The flush has ended the pause. The stream was not read while paused and holds no
                // waker for it.
                Poll::Ready(Ok(())) if was_paused => {}
                _ => return Poll::Pending,
            }
        }
        if matches!(received, Some(Err(_))) && self.incoming == RecvState::Open {
            // It was a write that failed. Nothing more is received after an error.
            self.stop_receiving(RecvState::Gone);
        }
        Poll::Ready(())
    }

    /// What `next` tells where nothing more is received.
    #[cold]
    fn finish_stream(&mut self, cx: &mut Context<'_>, received: &mut RecvSlot) {
        if let Some(close) = self.received_close.as_mut().filter(|close| close.is_untold) {
            close.is_untold = false;
            *received = Some(Ok(Message::Close(close.frame.clone())));
            return;
        }
        self.terminated = true;
        // An answer to a Close may still wait to be written.
        self.flush_and_keep_error(cx);
    }

    /// Tells whether `poll_next` has returned `None`. Not before: `select!` polls nothing that is
    /// terminated, and the handler would never see the end.
    pub(crate) fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// Reads on, up to the next message, which is put in its place; a failure is answered by a
    /// Close frame.
    #[inline]
    pub(super) fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
        received: &mut RecvSlot,
    ) -> Poll<()> {
        if !self.writer.write_buffer.has_pong_room() {
            ready!(self.poll_pong_room(cx));
        }
        if let Err(end) = ready!(self.reader.poll(self.io.get_mut(), cx, received)) {
            *received = Some(Err(self.end_receiving(cx, end)));
            return Poll::Ready(());
        }
        if let Some(Ok(control @ (Message::Ping(_) | Message::Close(_)))) = received {
            self.answer(cx, control);
        }
        Poll::Ready(())
    }

    /// Makes room for a pong, so that a peer that reads is sent one for each ping.
    ///
    /// A write may also be pending because the runtime wants the task to yield, as tokio does after
    /// a number of operations: so it is tried again in the next poll before the peer is taken for
    /// one that does not read. From such a peer pings are read up to a limit; then reading pauses.
    #[cold]
    fn poll_pong_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.writer.write_buffer.yields_for_pongs() {
            self.flush_and_keep_error(cx);
            if self.writer.write_buffer.has_pong_room() {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.is_paused() {
            return self.poll_flush_and_keep_error(cx);
        }
        Poll::Ready(())
    }

    /// A peer that sends pings and reads no pongs is not read from until it does. Messages of the
    /// user's do not count, or two peers that send first would both wait.
    #[inline]
    pub(super) fn is_paused(&self) -> bool {
        let unanswered = self.writer.write_buffer.unanswered_pings();
        unanswered > 0 && unanswered > self.watermark.min(MAX_UNANSWERED)
    }

    /// Answers a ping or a Close.
    #[inline(never)]
    fn answer(&mut self, cx: &mut Context<'_>, message: &Message) {
        match message {
            Message::Ping(payload) if self.sending == SendState::Open => {
                if !self.writer.write_buffer.has_pong_room() {
                    self.flush_and_keep_error(cx);
                }
                self.writer.write_buffer.push_pong(payload.clone());
            }
            Message::Close(frame) => self.answer_close(cx, frame.clone()),
            _ => {}
        }
    }

    /// Answers the peer's Close (RFC 6455, section 5.5.1); tries to write the answer.
    fn answer_close(&mut self, cx: &mut Context<'_>, frame: Option<CloseFrame>) {
        self.writer.write_buffer.discard_waiting_pong();
        self.received_close = Some(Box::new(ReceivedClose {
            frame: frame.clone(),
            is_untold: false,
        }));
        // What was received may be sent.
        let _ = self.start_close(frame);
        self.stop_receiving(RecvState::Closed);
        self.flush_and_keep_error(cx);
    }

    /// No message comes any more, and this is why.
    #[cold]
    fn end_receiving(&mut self, cx: &mut Context<'_>, end: End) -> Error {
        let error = match end {
            End::Violation(violation) => return self.fail(cx, violation),
            End::Stream => Error::ClosedWithoutHandshake,
            End::Failed(error) => Error::Io(error),
        };
        self.stop_receiving(RecvState::Gone);
        error
    }

    /// Fails the connection (RFC 6455, section 7.1.7): tells the peer why, and parses nothing more.
    fn fail(&mut self, cx: &mut Context<'_>, violation: ProtocolError) -> Error {
        // Whether the Close gets through is no matter of who made the failure.
        let _ = self.start_close(Some(closing_frame(&violation)));
        self.stop_receiving(RecvState::Failed);
        self.flush_and_keep_error(cx);
        violation.into()
    }

    pub(super) fn stop_receiving(&mut self, end: RecvState) {
        self.incoming = end;
        self.reader.discard();
    }
}
