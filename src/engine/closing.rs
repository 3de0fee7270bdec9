//! The end of a connection: the closing handshake, then the TCP connection (RFC 6455, section 7).

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, Waker, ready},
};

use async_tungstenite::tungstenite::protocol::Role;

use super::{Engine, Incoming, Sending, Side, tasks::Reading};
use crate::{
    Error, Result,
    error::Phase,
    io::{BoxIo, ended},
};

/// On whose behalf a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closer {
    /// The user's, who is told how it ends.
    User,
    /// The same, while another task receives: data and the peer's Close are left to it.
    BesideReceiver,
    /// A task in the background. If messages are lost, the side that sends is told.
    Nobody,
}

impl Engine {
    /// Completes the closing handshake and closes the TCP connection (RFC 6455, section 7.1.1):
    /// writes what is staged, discards data up to the peer's Close, shuts down the write side and
    /// waits for the end of the stream.
    ///
    /// Is an error if the connection failed before the peer's Close and nobody was told so yet.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>, closer: Closer) -> Poll<Result<()>> {
        self.poll_sending(cx, Reading::Allowed, |this, cx| {
            // A write that waits keeps nobody from reading: the peer may wait for that.
            let _ = this.poll_flush_finally(cx, closer);
            if closer == Closer::BesideReceiver && this.incoming == Incoming::Open {
                return Poll::Pending;
            }
            ready!(this.poll_discard(cx));
            ready!(this.poll_flush_finally(cx, closer));
            if !this.finished {
                ready!(this.poll_end_stream(cx));
                this.finish();
            }
            Poll::Ready(this.finish_error.take().map_or(Ok(()), |error| Err(*error)))
        })
    }

    /// Reads up to the peer's Close, or what comes in its place; data is discarded.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.incoming == Incoming::Open {
            let mut received = None;
            ready!(self.poll_incoming(cx, &mut received));
            match received {
                Some(Ok(close)) if close.is_close() => self.untold = Some(Box::new(close)),
                Some(Err(error)) => self.finish_error = Some(Box::new(error)),
                _ => {}
            }
        }
        Poll::Ready(())
    }

    /// Writes as much as the stream takes at once; returns whether that was all.
    ///
    /// It is called by destructors. A stream that panics has failed: while another panic unwinds,
    /// this one would abort the process.
    pub(crate) fn flush_at_once(&mut self) -> bool {
        if self.sending == Sending::Failed {
            return true;
        }
        let cx = &mut Context::from_waker(Waker::noop());
        let flush = AssertUnwindSafe(|| {
            self.writer.write_at_once(&mut self.io, cx);
            self.flush_and_keep_error(cx);
        });
        if catch_unwind(flush).is_err() {
            self.fail_sending(io::Error::other("the stream has panicked"), None);
            self.finish();
        }
        !self.writer.is_busy()
    }

    /// Tells whether nothing is left to be done but to drop the connection.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Tells whether messages of the peer's may still come.
    pub(crate) fn is_receiving(&self) -> bool {
        self.incoming == Incoming::Open
    }

    /// Stops waiting for the peer: nothing is read or written any more. It is an error unless the
    /// peer's Close had come, after which only the end of the TCP connection was missing.
    ///
    /// If messages are lost, the side that sends is told, unless it is the one that closes, `told`.
    pub(crate) fn give_up(&mut self, told: Side) -> Result<()> {
        let completed = self.incoming == Incoming::Closed && !self.writer.is_busy();
        if self.sending != Sending::Failed {
            let late = "the connection was given up before the peer had taken all";
            self.fail_sending(io::Error::new(io::ErrorKind::TimedOut, late), Some(told));
        }
        self.finish();
        if self.incoming == Incoming::Open {
            self.stop_receiving(Incoming::Gone);
        }
        match self.finish_error.take() {
            Some(error) => Err(*error),
            None if completed => Ok(()),
            None => Err(Error::Timeout(Phase::Close)),
        }
    }

    /// Keeps what went wrong for who closes later.
    pub(crate) fn keep_finish_error(&mut self, result: Result<()>) {
        self.finish_error = result.err().map(Box::new);
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

    /// Nothing is read or written any more.
    fn finish(&mut self) {
        self.finished = true;
    }

    /// Returns the stream of a connection that is finished, for the caller to drop: whoever still
    /// holds the socket needs it no more. Not dropped here, as the halves of a socket hold a lock,
    /// and a stream may own one of them.
    pub(crate) fn take_stream(&mut self) -> Option<BoxIo> {
        self.finished.then(|| mem::replace(&mut self.io, ended()))
    }

    fn poll_flush_finally(&mut self, cx: &mut Context<'_>, closer: Closer) -> Poll<()> {
        if closer == Closer::Nobody {
            return self.poll_flush_and_keep_error(cx);
        }
        let may_lose = self.write_failure.is_some() || self.has_unsent();
        if let Err(error) = ready!(self.poll_flush_for(Side::Sender, cx)) {
            // A peer that has closed may be gone before our answer: nothing is lost by that.
            if self.incoming != Incoming::Closed || may_lose {
                self.finish_error = Some(Box::new(error));
            }
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
