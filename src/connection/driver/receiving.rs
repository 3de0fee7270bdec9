//! Receiving: passes the stream's bytes to the endpoint, and its messages to the user.

use std::task::{Context, Poll, ready};

use super::{Driver, RecvSlot, Side, reader::End};
use crate::{
    error::{Error, Result},
    message::Message,
};

impl Driver {
    /// Returns the next message; buffered frames are written before it waits.
    #[inline]
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        let mut received = None;
        ready!(self.poll_receiving(cx, |this, cx| this.poll_message(cx, &mut received)));
        Poll::Ready(received)
    }

    /// Returns the next text or binary message. Answers and skips control frames.
    #[inline]
    pub(crate) fn poll_next_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        loop {
            match ready!(self.poll_next(cx)) {
                Some(Ok(message)) if !(message.is_text() || message.is_binary()) => {}
                next => return Poll::Ready(next),
            }
        }
    }

    /// Waits until `received` holds the next message. It stays empty if no more messages arrive.
    #[inline]
    fn poll_message(&mut self, cx: &mut Context<'_>, received: &mut RecvSlot) -> Poll<()> {
        if self.life.is_some() {
            self.poll_message_of::<true>(cx, received)
        } else {
            self.poll_message_of::<false>(cx, received)
        }
    }

    /// Does the same, for a connection that `HAS_LIFE` or not: few have, and for the others each
    /// message would cost the questions.
    fn poll_message_of<const HAS_LIFE: bool>(
        &mut self,
        cx: &mut Context<'_>,
        received: &mut RecvSlot,
    ) -> Poll<()> {
        if HAS_LIFE && let Err(error) = self.begin_next(cx) {
            return self.poll_failed(cx, received, error);
        }
        if !self.endpoint.is_receiving() {
            return self.poll_end(cx, received);
        }
        loop {
            let was_paused = self.endpoint.is_paused();
            let polled = if HAS_LIFE {
                self.poll_kept(cx, received)
            } else {
                self.poll_incoming(cx, received)
            };
            if polled.is_ready() {
                return Poll::Ready(());
            }
            let flushed = if HAS_LIFE {
                self.poll_attended_flush(cx)
            } else {
                self.poll_flush_for(Side::Receiver, cx)
            };
            match flushed {
                Poll::Ready(Err(error)) => return self.poll_failed(cx, received, error),
                // A sender has aborted the connection.
                _ if !self.endpoint.is_receiving() => return self.poll_end(cx, received),
                // The flush has ended the pause. The stream was not polled while paused and holds
                // no waker, so poll again.
                Poll::Ready(Ok(())) if was_paused => {}
                _ => return Poll::Pending,
            }
        }
    }

    /// Reads until `received` holds a message that is not discarded, or the error that ends the
    /// messages.
    fn poll_kept(&mut self, cx: &mut Context<'_>, received: &mut RecvSlot) -> Poll<()> {
        loop {
            ready!(self.poll_incoming(cx, received));
            if !self.is_discarded(received) {
                return Poll::Ready(());
            }
            *received = None;
        }
    }

    /// Returns an error, and no more messages after it. If this end has sent a Close because of it,
    /// the peer's is still awaited.
    #[cold]
    fn poll_failed(
        &mut self,
        cx: &mut Context<'_>,
        received: &mut RecvSlot,
        error: Error,
    ) -> Poll<()> {
        *received = Some(Err(error));
        if self.endpoint.is_receiving() {
            self.stop_receiving();
        }
        self.flush_and_keep_error(cx);
        Poll::Ready(())
    }

    /// Fills in what `next` returns once nothing more is received.
    #[cold]
    fn poll_end(&mut self, cx: &mut Context<'_>, received: &mut RecvSlot) -> Poll<()> {
        if let Some(close) = self.endpoint.take_pending_close() {
            *received = Some(Ok(close));
            return Poll::Ready(());
        }
        if let Some(error) = self.take_pending_end() {
            *received = Some(Err(error));
            return Poll::Ready(());
        }
        self.terminated = true;
        self.leave_clock();
        // The answer to a Close may not be written yet.
        self.flush_and_keep_error(cx);
        Poll::Ready(())
    }

    /// Returns whether `poll_next` has returned `None`. It must not be `true` earlier: `select!`
    /// does not poll a terminated future, and the handler would never see the end.
    pub(crate) fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// Reads until `received` holds the next message, or the error that ends the messages.
    #[inline]
    pub(super) fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
        received: &mut RecvSlot,
    ) -> Poll<()> {
        if !self.endpoint.has_pong_room() {
            ready!(self.poll_pong_room(cx));
        }
        let (io, endpoint) = (self.io.get_mut(), &mut self.endpoint);
        let read = ready!(self.reader.poll(io, endpoint, cx, received));
        if let Err(end) = read {
            *received = Some(Err(self.end_receiving(end)));
        } else if !self.endpoint.is_parsing() {
            self.write_last_answer(cx, received);
        }
        Poll::Ready(())
    }

    /// Writes pongs until there is space for one more, so that a peer that reads gets a pong for
    /// each ping.
    ///
    /// A write may also be pending because the runtime wants the task to yield, as tokio does after
    /// a number of operations. So the write is tried again in the next poll before the peer counts
    /// as one that does not read. From such a peer, pings are read up to a limit; then reading
    /// pauses.
    #[cold]
    fn poll_pong_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.flush_and_keep_error(cx);
        if self.endpoint.has_pong_room() {
            return Poll::Ready(());
        }
        if self.endpoint.yields_for_pongs() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.endpoint.is_paused() {
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Writes the Close that the endpoint has buffered last. The endpoint receives nothing more.
    #[cold]
    fn write_last_answer(&mut self, cx: &mut Context<'_>, received: &RecvSlot) {
        // Before the write, which may end the connection for its tracker.
        self.record_last(received);
        self.reader.discard();
        self.flush_and_keep_error(cx);
        self.end_queue();
    }

    /// Ends receiving because the stream has ended. Returns the error.
    #[cold]
    fn end_receiving(&mut self, end: End) -> Error {
        self.stop_receiving();
        let error = match end {
            End::Stream => Error::ClosedWithoutHandshake,
            End::Failed(error) => Error::Io(error),
        };
        self.record_error(&error);
        error
    }

    /// Stops receiving, and discards what was read.
    pub(super) fn stop_receiving(&mut self) {
        self.endpoint.stop_receiving();
        self.reader.discard();
        self.end_queue();
    }
}
