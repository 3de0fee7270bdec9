//! The end of a connection: the closing handshake, then the TCP connection (RFC 6455, section 7).

use std::task::{Context, Poll, Waker, ready};

use async_tungstenite::tungstenite::protocol::Role;

use super::{Engine, Incoming, Sending};
use crate::{Error, Result, error::Phase};

impl Engine {
    /// Completes the closing handshake and closes the TCP connection (RFC 6455, section 7.1.1):
    /// writes what is staged, discards data up to the peer's Close, shuts down the write side and
    /// waits for the end of the stream.
    ///
    /// Is an error if the connection failed before the peer's Close and nobody was told so yet.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // A write that waits keeps nobody from reading: the peer may wait for that.
        let _ = self.poll_flush_finally(cx);
        while self.incoming == Incoming::Open {
            let mut received = None;
            ready!(self.poll_incoming(cx, &mut received));
            match received {
                Some(Ok(close)) if close.is_close() => self.untold = Some(Box::new(close)),
                Some(Err(error)) => self.finish_error = Some(Box::new(error)),
                _ => {}
            }
        }
        ready!(self.poll_flush_finally(cx));
        if !self.finished {
            ready!(self.poll_end_stream(cx));
            self.finished = true;
        }
        Poll::Ready(self.finish_error.take().map_or(Ok(()), |error| Err(*error)))
    }

    /// Writes as much as the stream takes at once.
    pub(crate) fn flush_without_waiting(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        // Nobody will ask for another turn.
        while !self.writer.outbox.is_empty() {
            let before = self.writer.outbox.len();
            let _ = self.poll_flush(cx);
            if self.writer.outbox.len() == before {
                break;
            }
        }
        let _ = self.poll_flush(cx);
    }

    /// Tells whether nothing is left to be done but to drop the stream.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Stops waiting for the peer: nothing is read or written any more. It is an error unless the
    /// peer's Close had come, after which only the end of the TCP connection was missing.
    pub(crate) fn give_up(&mut self) -> Result<()> {
        let completed = self.incoming == Incoming::Closed && self.writer.outbox.is_empty();
        self.sending = Sending::Failed;
        self.writer.outbox.clear();
        self.finished = true;
        if self.incoming == Incoming::Open {
            self.stop_receiving(Incoming::Gone);
        }
        match self.finish_error.take() {
            Some(error) => Err(*error),
            None if completed => Ok(()),
            None => Err(Error::Timeout(Phase::Close)),
        }
    }

    /// Shuts down the write side of a server whose closing handshake is over (RFC 6455, section
    /// 7.1.1): the client waits for it.
    pub(super) fn end_sending(&mut self, cx: &mut Context<'_>) {
        let is_over = matches!(self.incoming, Incoming::Closed | Incoming::Failed);
        if self.role == Role::Server && is_over {
            // A stream that cannot do it at once is asked again when the connection is finished.
            let _ = self.writer.poll_shut_down(&mut self.io, cx);
        }
    }

    fn poll_flush_finally(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(self.poll_flush(cx)) {
            self.finish_error = Some(Box::new(error));
        }
        Poll::Ready(())
    }

    /// Shuts down the write side and discards what arrives, to the end of the stream.
    fn poll_end_stream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // RFC 6455, section 7.1.1: the server ends the TCP connection first, so that it is the one
        // to hold the TIME_WAIT state.
        if self.role == Role::Server || self.incoming != Incoming::Closed {
            ready!(self.writer.poll_shut_down(&mut self.io, cx));
        }
        if ready!(self.reader.poll_drain(&mut self.io, cx)).is_ok() {
            // The client, which waited for the server's end, ends too.
            ready!(self.writer.poll_shut_down(&mut self.io, cx));
        }
        Poll::Ready(())
    }
}
