//! The end of a connection: the closing handshake, then the TCP connection (RFC 6455, section 7).

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, Waker, ready},
};

use super::{
    Driver, Side,
    tasks::{Reading, Tasks},
    write_failure::Cause,
};
use crate::{
    error::{Error, Result, TimeoutPhase},
    io::{BoxIo, ended},
};

/// On whose behalf a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closer {
    /// On behalf of the user, who gets the result.
    User,
    /// On behalf of the user, while another task receives: that task gets data and the peer's
    /// Close.
    BesideReceiver,
    /// On nobody's behalf: a background task closes. If messages are lost, the sender gets the
    /// error later.
    Nobody,
}

impl Driver {
    /// Completes the closing handshake and closes the TCP connection (RFC 6455, section 7.1.1).
    ///
    /// Writes what is buffered, discards data up to the peer's Close, shuts down the write side and
    /// waits for the end of the stream. Returns an error if the connection failed before the peer's
    /// Close, unless the user has already got it.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>, closer: Closer) -> Poll<Result<()>> {
        self.poll_sending(cx, Reading::Allowed, |this, cx| {
            // A blocked write must not stop this end from reading: the peer may wait for that.
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

    /// Waits until nothing more can be sent, and writes what is buffered meanwhile.
    ///
    /// With [`Reading::Allowed`], it answers pings and a Close, and discards data. Otherwise
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
            if self.life.is_some()
                && let Err(error) = self.attend(cx, Side::Sender, reading)
            {
                // The Close.
                self.flush_and_keep_error(cx);
                return Poll::Ready(Err(error));
            }
            let flushed = self.poll_flush(cx)?;
            if !self.endpoint.can_send() {
                return Poll::Ready(Ok(()));
            }
            match flushed {
                // The flush has ended the pause. The stream was not polled while paused and holds
                // no waker, so poll again.
                Poll::Ready(()) if was_paused => {}
                _ => break,
            }
        }
        if self.life.is_some() {
            match reading {
                Reading::Allowed => self.set_alarm(cx, reading),
                Reading::Never => self.set_alarm_beside(cx),
            }
        }
        Poll::Pending
    }

    /// Reads what has arrived, for a task that sends while no task receives. Answers pings and a
    /// Close, and discards data. Also returns the error of a pong that could not be written.
    pub(crate) fn discard_received(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let mut discarded = Ok(());
        let _ = self.poll_receiving(cx, |this, cx| {
            this.poll_discard(cx).map(|result| discarded = result)
        });
        // This task is both sides, so it gets the error only once.
        let answered = self.take_write_failure(Side::Receiver);
        discarded?;
        let sent = self.take_write_failure(Side::Sender);
        answered.and(sent)
    }

    /// Reads up to the peer's Close or a failure, and discards data.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let is_told = !self.endpoint.is_receiving();
        if self.endpoint.can_send() {
            self.renew_allowance();
        } else {
            // The close timeout limits this. Rates would only delay the peer's Close.
            self.lift_rates();
        }
        while self.endpoint.is_parsing() {
            let mut received = None;
            if self.poll_incoming(cx, &mut received).is_pending() {
                if !self.reader.is_held() {
                    return Poll::Pending;
                }
                match self.resume(Side::Sender) {
                    Ok(true) => continue,
                    Ok(false) => return Poll::Pending,
                    Err(error) => {
                        // The Close.
                        self.flush_and_keep_error(cx);
                        return Poll::Ready(Err(error));
                    }
                }
            }
            self.record_received(&received);
            if is_told {
                // The user has got the error that has ended the messages.
                continue;
            }
            if let Some(Err(error)) = received {
                return Poll::Ready(Err(error));
            }
            // The slot holds data, which is lost, or the peer's Close, which `next` still has to
            // return.
            self.endpoint.keep_close_pending();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes as much as the stream accepts at once. Returns whether that was everything.
    ///
    /// Destructors call it, so it catches a panic of the stream and treats it as a failure: during
    /// another panic, it would abort the process.
    pub(crate) fn flush_at_once(&mut self) -> bool {
        if !self.endpoint.can_write() {
            return true;
        }
        let cx = &mut Context::from_waker(Waker::noop());
        let flush = AssertUnwindSafe(|| {
            // There is no other turn to compress in.
            self.endpoint.stop_compressing();
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

    /// Returns whether the connection only has to be dropped.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Returns whether more messages of the peer may arrive.
    pub(crate) fn is_receiving(&self) -> bool {
        self.endpoint.is_receiving()
    }

    /// Stops waiting for the peer, on behalf of `caller`. Returns an error unless only the end of
    /// the TCP connection was missing.
    pub(crate) fn time_out(&mut self, caller: Side) -> Result<()> {
        let completed = self.endpoint.has_received_close() && !self.is_writing();
        if !completed {
            self.record_error(&Error::Timeout(TimeoutPhase::Close));
        }
        let late = "the close timeout passed before the peer had read everything";
        self.cut(caller, io::Error::new(io::ErrorKind::TimedOut, late));
        match self.finish_error.take() {
            Some(error) => Err(*error),
            None if completed => Ok(()),
            None => Err(Error::Timeout(TimeoutPhase::Close)),
        }
    }

    /// Ends the connection at once, on behalf of `caller`. Returns the waiting tasks, which the
    /// caller has to wake. It does not wake them itself: the halves of a socket hold a lock, and a
    /// waker may run or drop one of them.
    pub(crate) fn abort(&mut self, caller: Side) -> Tasks {
        let aborted = || io::Error::new(io::ErrorKind::ConnectionAborted, "the socket was aborted");
        let is_cut = self.endpoint.is_receiving();
        self.cut(caller, aborted());
        // The caller of `abort` needs no earlier error, and `next` returns `None`. A sender whose
        // `close` waits gets an error if the receiver aborts.
        let interrupts_close = caller == Side::Receiver && is_cut;
        self.finish_error = interrupts_close.then(|| Box::new(aborted().into()));
        let _ = self.take_write_failure(caller);
        let _ = self.take_write_failure(Side::Receiver);
        mem::take(&mut self.tasks)
    }

    /// Ends both directions. If that loses messages, the sender gets the error later, unless the
    /// sender is the `caller`.
    pub(super) fn cut(&mut self, caller: Side, cause: impl Into<Cause>) {
        if self.endpoint.can_write() {
            self.fail_sending(cause, Some(caller));
        }
        self.finish();
        self.stop_receiving();
    }

    /// Keeps an error for a later `close`.
    pub(crate) fn keep_finish_error(&mut self, result: Result<()>) {
        self.finish_error = result.err().map(Box::new);
    }

    /// Shuts down the write side if that is due now (RFC 6455, section 7.1.1).
    pub(super) fn end_sending(&mut self, cx: &mut Context<'_>) {
        if self.endpoint.ends_tcp_at_once() {
            // If the stream cannot do it at once, `poll_end_stream` tries again.
            if self.writer.poll_shut_down(self.io.get_mut(), cx).is_ready() {
                self.leave_tracker();
            }
        }
    }

    /// Stops all reading and writing.
    pub(super) fn finish(&mut self) {
        self.finished = true;
        self.leave_tracker();
    }

    /// Returns the stream of a finished connection, which the caller has to drop, because the user
    /// may keep the socket for a long time. It is not dropped here: the halves of a socket hold a
    /// lock, and a stream may own one of them.
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
            // A peer that has closed may be gone before our answer arrives: that loses nothing.
            if !self.endpoint.has_received_close() || may_lose {
                self.finish_error = Some(Box::new(error));
            }
        }
        Poll::Ready(())
    }

    /// Shuts down the write side, and discards what arrives until the stream ends.
    fn poll_end_stream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.endpoint.ends_tcp_first() {
            ready!(self.writer.poll_shut_down(self.io.get_mut(), cx));
            self.leave_tracker();
        }
        if ready!(self.reader.poll_drain(self.io.get_mut(), cx)).is_ok() {
            // A client that has waited for the server's end ends its own side too.
            ready!(self.writer.poll_shut_down(self.io.get_mut(), cx));
        }
        Poll::Ready(())
    }
}
