//! The timeouts of a socket and the messages of its senders, where its task waits.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Driver, Side,
    tasks::Reading,
    write_failure::{Cause, WriteFailure},
};
use crate::{
    error::{Error, Result},
    life::{Behind, End, Life, Order, Queue, Seen, Timers, Verdict},
    tracker::Notice,
};

impl Driver {
    pub(crate) fn life(&self) -> Option<&Life> {
        self.life.as_deref()
    }

    /// Returns what the socket shares with its clock and its senders, for a new sender.
    pub(crate) fn life_mut(&mut self) -> &mut Life {
        self.life.get_or_insert_default()
    }

    /// Returns whether bytes came since the task has waited for them.
    pub(crate) fn has_read(&self) -> bool {
        self.reader.has_read()
    }

    /// Tells the senders that nothing more is sent.
    pub(crate) fn end_queue(&self) {
        if let Some(queue) = self.queue() {
            queue.end();
            self.wake_senders(queue);
        }
    }

    /// Wakes senders whose wait has ended. Halves do so once their lock is released: a waker may
    /// use one of them.
    fn wake_senders(&self, queue: &Queue) {
        if !self.is_split {
            queue.wake_ready();
        }
    }

    /// Returns the queue whose senders the halves have to wake, if there are any.
    pub(crate) fn queue_to_wake(&self) -> Option<Arc<Queue>> {
        let queue = self.life.as_ref()?.queue.as_ref()?;
        queue.has_ready().then(|| Arc::clone(queue))
    }

    /// Ends the timeouts, because the messages have ended: the handler may tidy up for as long as
    /// it likes. But one whose socket has become too old must not go on for ever.
    pub(super) fn leave_clock(&self) {
        if let Some(timers) = self.timers().filter(|timers| !timers.is_too_old()) {
            timers.leave();
        }
    }

    /// Ends timeouts and senders: the connection belongs to nobody any more. Its tracker still
    /// counts it.
    pub(crate) fn end_life(&mut self) {
        // The queue of the senders goes.
        self.record_moved();
        self.life = self.life.take().and_then(Life::abandon);
    }

    pub(super) fn queue(&self) -> Option<&Queue> {
        self.life.as_ref()?.queue.as_deref()
    }

    /// Begins a `next`, which may never wait. Measures what was received, and takes what senders
    /// have queued: the peer may send without a pause.
    #[inline(never)]
    pub(super) fn begin_next(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.follow_tracker(Side::Receiver)?;
        if self.has_queued() {
            self.take_queued(Side::Receiver)?;
            if self.endpoint.should_write() {
                self.flush_and_keep_error(cx);
            }
        }
        if self.endpoint.is_receiving() {
            if self.is_drained {
                self.lift_rates();
            } else {
                self.renew_allowance();
            }
            // An answer that came with a message was not measured when it came, and the handler may
            // have worked on the message for long.
            self.take_pong();
            self.check_age(Side::Receiver)?;
        }
        Ok(())
    }

    /// Returns an error once the maximum lifetime is over, for an operation that may never wait.
    pub(super) fn check_age(&mut self, side: Side) -> Result<()> {
        if self.timers().is_some_and(Timers::is_too_old) {
            return Err(self.end_by(End::Lifetime, side));
        }
        Ok(())
    }

    fn timers(&self) -> Option<&Timers> {
        self.life.as_ref()?.timers.as_ref()
    }

    /// Returns whether a task that sends has more to do than that.
    #[inline]
    pub(super) fn is_attention_due(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.is_due())
    }

    /// Returns whether senders have queued something.
    #[inline]
    pub(super) fn has_queued(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.has_queued())
    }

    /// Does what is due before a task waits in `next` or `closed`. Takes what senders have queued;
    /// if all that has arrived was read, also pings a silent peer, or gives it up. Returns the
    /// error that ends the messages of `side`.
    #[inline(never)]
    pub(super) fn attend(&mut self, cx: &Context<'_>, side: Side, reading: Reading) -> Result<()> {
        if let Some(life) = &self.life {
            // Before looking for what is due, or a wakeup may be lost.
            let notice = life.register(cx.waker());
            self.follow_notice(notice, side)?;
        }
        self.take_queued(side)?;
        let can_send = self.endpoint.can_send();
        if !can_send {
            self.attend_closed();
            if !self.endpoint.is_receiving() {
                return Ok(());
            }
        }
        self.observe();
        let has_read_all = self.has_read_all();
        let timers = self.life.as_mut().and_then(|life| life.timers.as_mut());
        let Some(timers) = timers else {
            return Ok(());
        };
        let verdict = if reading == Reading::Allowed && has_read_all {
            timers.judge()
        } else {
            timers.judge_writing()
        };
        match verdict {
            Verdict::Wait => {}
            Verdict::TryAgain => cx.waker().wake_by_ref(),
            // Nothing follows a Close, which asks for an answer as a ping does.
            Verdict::Ping if !can_send => {}
            Verdict::Ping => self.endpoint.ping(),
            Verdict::End(end) => return Err(self.end_by(end, side)),
        }
        // After the judgement: during a pause, no answer is expected to a ping.
        if self.reader.is_held() && self.resume(side)? {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Ends the senders once nothing more may be sent. They may still abort.
    fn attend_closed(&mut self) {
        self.end_queue();
        let urgent = self.life.as_ref().and_then(|life| life.take_urgent());
        if urgent.is_some() {
            // The peer does not answer the Close.
            self.abort_for_sender();
        }
    }

    /// Returns whether a task that waits has read what has arrived, or what it may read of it. It
    /// may only have to yield, with bytes that it has not looked at.
    fn has_read_all(&self) -> bool {
        let has_unread = self.reader.has_unread();
        !self.endpoint.is_inflating()
            && (!has_unread || self.endpoint.is_paused() || self.reader.is_held())
    }

    /// Flushes for a task that is about to wait in `next`, and does what is due before that.
    #[inline(never)]
    pub(super) fn poll_attended_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = loop {
            self.attend(cx, Side::Receiver, Reading::Allowed)?;
            let flushed = self.poll_flush_for(Side::Receiver, cx);
            // The flush may have made space for more of what is queued.
            if !matches!(flushed, Poll::Ready(Ok(()))) || !self.has_queued() {
                break flushed?;
            }
        };
        self.set_alarm(cx, Reading::Allowed);
        flushed.map(Ok)
    }

    /// Sets the alarm for a task that has written what the stream accepts, and is about to wait.
    #[inline(never)]
    pub(super) fn set_alarm(&mut self, cx: &Context<'_>, reading: Reading) {
        if !self.endpoint.is_receiving() {
            return;
        }
        self.observe();
        let is_reading = reading == Reading::Allowed;
        if self.life().is_some_and(|life| life.set_alarm(is_reading)) {
            cx.waker().wake_by_ref();
        }
    }

    /// Does what is due before a task waits that only writes. An error is kept for its next poll,
    /// and the task is woken for that.
    #[inline(never)]
    pub(super) fn attend_writing(&mut self, cx: &Context<'_>) {
        let both = self.tasks.beside_receiver(cx);
        let Some(life) = &mut self.life else {
            return;
        };
        let notice = life.register(both.as_ref().unwrap_or_else(|| cx.waker()));
        if notice != Notice::Stay && !self.finished {
            self.leave_writing(notice, cx);
        }
        if !self.endpoint.can_send() {
            return;
        }
        self.observe();
        let Some(life) = &mut self.life else {
            return;
        };
        match life.take_urgent() {
            Some(Order::Abort) => {
                self.abort_for_sender();
                return cx.waker().wake_by_ref();
            }
            Some(_) => return self.end_writing(End::QueueFull, cx),
            None => {}
        }
        let Some(timers) = &mut life.timers else {
            return;
        };
        match timers.judge_writing() {
            Verdict::Wait | Verdict::Ping => {}
            Verdict::TryAgain => cx.waker().wake_by_ref(),
            Verdict::End(end) => return self.end_writing(end, cx),
        }
        self.set_alarm_beside(cx);
    }

    /// Sets the alarm for a task that does not receive, and for one that may wait to.
    pub(super) fn set_alarm_beside(&mut self, cx: &Context<'_>) {
        if self.life().is_some_and(Life::is_reading_due) {
            // That task has to judge it. If it has given up its wait, this one would be woken for
            // ever in its place.
            self.tasks.wake_receiver();
        }
        // A task that waits to receive watches the peer's silence too.
        self.set_alarm(cx, self.tasks.reading());
    }

    /// Ends the connection for a task that waits to write, which gets the error in its next poll.
    pub(super) fn end_writing(&mut self, end: End, cx: &Context<'_>) {
        self.end_by(end, Side::Sender);
        let pending = [false, true];
        let cause = Cause::End(end);
        self.write_failure = Some(Box::new(WriteFailure { cause, pending }));
        cx.waker().wake_by_ref();
    }

    /// Returns whether all was taken that senders had queued when `behind` was asked for first.
    pub(super) fn is_behind(&self, behind: &mut Behind) -> bool {
        let Some(queue) = self.queue() else {
            return true;
        };
        let mark = *behind.get_or_insert_with(|| queue.mark());
        !queue.is_pending() || queue.has_passed(mark)
    }

    /// Buffers what senders have queued, as far as there is space, and follows their orders.
    /// Returns the error that an order means for `side`.
    pub(super) fn take_queued(&mut self, side: Side) -> Result<()> {
        while self.has_queued() && self.endpoint.can_send() {
            let before = self.endpoint.unwritten();
            let order = self.take_batch(self.endpoint.room(), false);
            if let Some(order) = order {
                return self.follow(order, side);
            }
            // The flush of what is buffered yields, and the next turn takes more.
            if self.endpoint.unwritten() == before || self.writer.is_turn_over() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Buffers everything that senders have queued, because a Close follows.
    pub(super) fn take_all_queued(&mut self) {
        if let Some(queue) = self.queue() {
            // Or senders could go on filling it.
            queue.stop();
        }
        while self.has_queued() && self.endpoint.can_send() {
            if let Some(order) = self.take_batch(usize::MAX, true) {
                // The caller closes in any case.
                let _ = self.follow(order, Side::Sender);
            }
        }
        self.end_queue();
    }

    fn take_batch(&mut self, room: usize, is_closing: bool) -> Option<Order> {
        let queue = self.queue()?;
        let taken = queue.take(room);
        self.wake_senders(queue);
        taken.batch.into_messages().for_each(|message| {
            if is_closing && self.writer.is_turn_over() {
                // A Close follows at once, so there is no other turn to compress in.
                self.endpoint.end_compression();
            }
            // A queue holds no invalid message.
            let _ = self.push_prepared(message);
        });
        taken.order
    }

    fn follow(&mut self, order: Order, side: Side) -> Result<()> {
        match order {
            Order::Close(close) => {
                let _ = self.push_prepared(close);
                self.end_queue();
            }
            Order::GiveUp => return Err(self.end_by(End::QueueFull, side)),
            Order::Abort => self.abort_for_sender(),
        }
        Ok(())
    }

    /// Ends the connection at once. If that loses messages, the sending side gets an error.
    fn abort_for_sender(&mut self) {
        self.abort(Side::Receiver).wake();
        if !self.is_shared {
            drop(self.take_stream());
        }
    }

    /// Ends the connection because of a timeout or a full queue, on behalf of `caller`, who gets
    /// the error. If another task receives, it gets the error later.
    pub(super) fn end_by(&mut self, end: End, caller: Side) -> Error {
        let is_receiving = self.endpoint.is_receiving();
        if matches!(end, End::Write | End::Drain) {
            // Nobody waits for a Close, or none would get through.
            self.cut(caller, Cause::End(end));
        } else {
            self.endpoint.give_up(end.frame());
        }
        self.end_queue();
        self.record_error(&end.error());
        // A receiver that has got the peer's Close gets nothing more.
        if caller == Side::Sender && self.is_shared && is_receiving {
            self.pending_end = Some(end);
        }
        end.error()
    }

    /// Returns the error that ended the messages on behalf of the sender, once.
    pub(super) fn take_pending_end(&mut self) -> Option<Error> {
        self.pending_end.take().map(End::error)
    }

    /// Passes on what was read and written since the last call.
    fn observe(&mut self) {
        if self.timers().is_none() && self.record.is_none() {
            return;
        }
        // A message that is being compressed does not wait for the peer.
        let has_unwritten = self.endpoint.unwritten() > 0
            || (self.writer.is_unflushed() && !self.endpoint.is_compressing());
        let is_writing = has_unwritten && self.endpoint.can_write();
        let has_pong = self.take_pong();
        let (read, written) = self.record_moved();
        let Some(timers) = self.life.as_mut().and_then(|life| life.timers.as_mut()) else {
            return;
        };
        let has_read = read > 0;
        let has_sent = self.endpoint.take_sent_data();
        timers.observe(Seen {
            has_read,
            has_written: written > 0,
            has_data: self.endpoint.take_received_data(has_read) || has_sent,
            has_pong,
            is_writing,
        });
        if has_pong && let Some(record) = &self.record {
            timers
                .round_trip()
                .into_iter()
                .for_each(|time| record.round_trip(time));
        }
    }
}
