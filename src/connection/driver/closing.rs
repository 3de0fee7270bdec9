//! The end of a connection: the closing handshake, then the TCP connection (RFC 6455, section 7).

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, Waker, ready},
};

use super::{
    Driver, Side,
    tasks::{Reading, Tasks},
};
use crate::{
    error::{Error, Result, TimeoutPhase},
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

impl Driver {
    /// Completes the closing handshake and closes the TCP connection (RFC 6455, section 7.1.1):
    /// writes what is buffered, discards data up to the peer's Close, shuts down the write side and
    /// waits for the end of the stream.
    ///
    /// Is an error if the connection failed before the peer's Close and nobody was told so yet.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>, closer: Closer) -> Poll<Result<()>> {
        self.poll_sending(cx, Reading::Allowed, |this, cx| {
            // A write that waits keeps nobody from reading: the peer may wait for that.
            let _ = this.poll_flush_for_close(cx, closer);
            if closer == Closer::BesideReceiver && this.endpoint.is_receiving() {
                return Poll::Pending;
            }
            if let Err(error) = ready!(this.poll_discard(cx)) {
                this.finish_error = Some(Box::new(error));
            }
            ready!(this.poll_flush_for_close(cx, closer));
            if !this.finished {
                ready!(this.poll_end_stream(cx));
                this.finish();
            }
            Poll::Ready(this.finish_error.take().map_or(Ok(()), |error| Err(*error)))
        })
    }

    /// Is ready once nothing more can be sent. What is buffered is written meanwhile.
    ///
    /// With [`Reading::Allowed`] pings and a Close are answered, and data is discarded; else
    /// another task receives.
    pub(crate) fn poll_closed(
        &mut self,
        cx: &mut Context<'_>,
        reading: Reading,
    ) -> Poll<Result<()>> {
        loop {
            self.take_write_failure(Side::Sender)?;
            let was_paused = self.endpoint.is_paused();
            if reading == Reading::Allowed {
                self.discard_received(cx)?;
            }
            if !self.endpoint.can_send() {
                return Poll::Ready(Ok(()));
            }
            match self.poll_flush(cx)? {
                // The flush has ended the pause. The stream was not polled while paused and holds
                // no waker, so poll again.
                Poll::Ready(()) if was_paused => {}
                _ => return Poll::Pending,
            }
        }
    }

    /// Reads what has arrived, for a task that sends while none receives: pings and a Close are
    /// answered, data is discarded. It is told of a pong that could not be written, too.
    pub(crate) fn discard_received(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let mut discarded = Ok(());
        let _ = self.poll_receiving(cx, |this, cx| {
            this.poll_discard(cx).map(|result| discarded = result)
        });
        // Both sides are one here, which is told once.
        let answered = self.take_write_failure(Side::Receiver);
        discarded?;
        let sent = self.take_write_failure(Side::Sender);
        answered.and(sent)
    }

    /// Reads up to the peer's Close, or what comes in its place; data is discarded.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.endpoint.is_receiving() {
            let mut received = None;
            ready!(self.poll_incoming(cx, &mut received));
            if let Some(Err(error)) = received {
                return Poll::Ready(Err(error));
            }
            // It was data, which is lost, or the peer's Close, which `next` has yet to return.
            self.endpoint.keep_close_pending();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes as much as the stream takes at once; returns whether that was all.
    ///
    /// It is called by destructors. A stream that panics has failed: while another panic unwinds,
    /// this one would abort the process.
    pub(crate) fn flush_at_once(&mut self) -> bool {
        if !self.endpoint.can_write() {
            return true;
        }
        let cx = &mut Context::from_waker(Waker::noop());
        let flush = AssertUnwindSafe(|| {
            let buffer = self.endpoint.write_buffer();
            self.writer.write_at_once(self.io.get_mut(), buffer, cx);
            self.flush_and_keep_error(cx);
        });
        if catch_unwind(flush).is_err() {
            self.fail_sending(io::Error::other("the stream has panicked"), None);
            self.finish();
        }
        !self.is_writing()
    }

    /// Tells whether nothing is left to be done but to drop the connection.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Tells whether messages of the peer's may still come.
    pub(crate) fn is_receiving(&self) -> bool {
        self.endpoint.is_receiving()
    }

    /// Stops waiting for the peer: nothing is read or written any more. It is an error unless the
    /// peer's Close had come, after which only the end of the TCP connection was missing.
    ///
    /// If messages are lost, the side that sends is told, unless it is the one that closes, `told`.
    pub(crate) fn give_up(&mut self, told: Side) -> Result<()> {
        let completed = self.endpoint.has_received_close() && !self.is_writing();
        let late = "the connection was given up before the peer had taken all";
        self.cut(told, io::Error::new(io::ErrorKind::TimedOut, late));
        match self.finish_error.take() {
            Some(error) => Err(*error),
            None if completed => Ok(()),
            None => Err(Error::Timeout(TimeoutPhase::Close)),
        }
    }

    /// Ends the connection at once, on behalf of `told`. Returns the tasks that wait, for the
    /// caller to wake: the halves of a socket hold a lock, and a waker may run or drop one of them.
    pub(crate) fn abort(&mut self, told: Side) -> Tasks {
        let aborted = || io::Error::new(io::ErrorKind::ConnectionAborted, "the socket was aborted");
        let is_cut = self.endpoint.is_receiving();
        self.cut(told, aborted());
        // The caller of `abort` needs no earlier error, and `next` returns `None`. A sender whose
        // `close` waits gets an error if the receiver aborts.
        let is_told = told == Side::Receiver && is_cut;
        self.finish_error = is_told.then(|| Box::new(aborted().into()));
        let _ = self.take_write_failure(told);
        let _ = self.take_write_failure(Side::Receiver);
        mem::take(&mut self.tasks)
    }

    /// Lets nothing more be read or written; if messages are lost by that, the side that sends is
    /// told, unless it is `told`.
    fn cut(&mut self, told: Side, error: io::Error) {
        if self.endpoint.can_write() {
            self.fail_sending(error, Some(told));
        }
        self.finish();
        if self.endpoint.is_receiving() {
            self.stop_receiving();
        }
    }

    /// Keeps what went wrong for who closes later.
    pub(crate) fn keep_finish_error(&mut self, result: Result<()>) {
        self.finish_error = result.err().map(Box::new);
    }

    /// Shuts down the write side of a server whose closing handshake is over (RFC 6455, section
    /// 7.1.1): the client waits for it.
    pub(super) fn end_sending(&mut self, cx: &mut Context<'_>) {
        if self.endpoint.ends_tcp_at_once() {
            // A stream that cannot do it at once is asked again when the connection is finished.
            let _ = self.writer.poll_shut_down(self.io.get_mut(), cx);
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
        self.finished
            .then(|| mem::replace(self.io.get_mut(), ended()))
    }

    fn poll_flush_for_close(&mut self, cx: &mut Context<'_>, closer: Closer) -> Poll<()> {
        if closer == Closer::Nobody {
            return self.poll_flush_and_keep_error(cx);
        }
        let may_lose = self.write_failure.is_some() || self.has_unsent();
        if let Err(error) = ready!(self.poll_flush_for(Side::Sender, cx)) {
            // A peer that has closed may be gone before our answer: nothing is lost by that.
            if !self.endpoint.has_received_close() || may_lose {
                self.finish_error = Some(Box::new(error));
            }
        }
        Poll::Ready(())
    }

    /// Shuts down the write side and discards what arrives, to the end of the stream.
    fn poll_end_stream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.endpoint.ends_tcp_first() {
            ready!(self.writer.poll_shut_down(self.io.get_mut(), cx));
        }
        if ready!(self.reader.poll_drain(self.io.get_mut(), cx)).is_ok() {
            // The client, which waited for the server's end, ends too.
            ready!(self.writer.poll_shut_down(self.io.get_mut(), cx));
        }
        Poll::Ready(())
    }
}
