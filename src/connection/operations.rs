//! The operations that a socket calls. The driver implements them.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Connection,
    driver::{Reading, SendResult, SendSlot, State},
};
use crate::{
    config::QueueConfig,
    error::Result,
    life::{Behind, Queue, Timers},
    message::Message,
    tracker::Released,
};

impl Connection {
    /// Returns the next message; buffered frames are written before it waits.
    #[inline]
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        self.driver().poll_next(cx)
    }

    /// Returns the next text or binary message. Answers and skips control frames.
    #[inline]
    pub(crate) fn poll_next_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        self.driver().poll_next_data(cx)
    }

    /// Buffers a message once there is space, and writes everything that is buffered.
    #[inline]
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut SendSlot,
    ) -> Poll<SendResult> {
        self.driver().poll_send(cx, message)
    }

    /// Buffers a message once there is space, and writes if enough is buffered.
    #[inline]
    pub(crate) fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut SendSlot,
    ) -> Poll<SendResult> {
        self.driver().poll_feed(cx, message)
    }

    /// Waits until [`start_send`](Self::start_send) may be called.
    #[inline]
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<SendResult> {
        self.driver().poll_ready(cx)
    }

    /// Buffers a message.
    pub(crate) fn start_send(&mut self, message: Message) -> Result<()> {
        self.driver().start_send(message)
    }

    /// Writes what is buffered and flushes the stream.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.driver().poll_flush(cx)
    }

    /// Writes what is buffered and what senders had queued in the first poll, and flushes the
    /// stream.
    pub(crate) fn poll_flush_behind(
        &mut self,
        cx: &mut Context<'_>,
        behind: &mut Behind,
    ) -> Poll<Result<()>> {
        self.driver().poll_flush_behind(cx, behind)
    }

    /// Writes Close 1000, and does not wait for the peer's.
    pub(crate) fn poll_close_sink(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.driver().poll_close_sink(cx)
    }

    /// Waits until nothing more can be sent. Reads meanwhile if `reading` allows it.
    pub(crate) fn poll_closed(
        &mut self,
        cx: &mut Context<'_>,
        reading: Reading,
    ) -> Poll<Result<()>> {
        self.driver().poll_closed(cx, reading)
    }

    /// Answers and discards what has arrived, for a task that sends while no task receives.
    pub(crate) fn discard_received(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.driver().discard_received(cx)
    }

    /// Sets whether one task sends and another one receives, and forgets the waiting tasks.
    pub(crate) fn set_shared(&mut self, is_shared: bool) {
        self.driver().set_shared(is_shared);
    }

    /// A snapshot: if it differs after a poll, the task of the other half must be woken.
    pub(crate) fn state(&mut self) -> State {
        self.driver().state()
    }

    /// Returns the queue of the socket's senders, which is created if there is none. With `config`,
    /// its bounds are changed.
    pub(crate) fn queue(&mut self, config: Option<QueueConfig>) -> Arc<Queue> {
        let driver = self.driver();
        let can_send = driver.can_send();
        let is_new = driver.life().is_none_or(|life| life.queue.is_none());
        let queue = Arc::clone(driver.life_mut().queue(config));
        if !can_send {
            queue.end();
        }
        if is_new {
            // A task that waits does not listen to this queue yet.
            driver.wake_tasks();
        }
        queue
    }

    /// Returns the queue whose senders have to be woken once the halves are not locked.
    pub(crate) fn queue_to_wake(&self) -> Option<Arc<Queue>> {
        self.0.as_ref()?.driver.queue_to_wake()
    }

    /// Ends the counting by a tracker. Returns whom to tell once the halves are not locked.
    pub(crate) fn release_left(&mut self) -> Released {
        let inner = self.0.as_mut();
        inner.map_or_else(Released::default, |inner| inner.driver.release_left())
    }

    /// Returns whether the connection has a maximum lifetime.
    pub(crate) fn has_lifetime(&self) -> bool {
        self.timers().is_some_and(Timers::has_lifetime)
    }

    /// Returns the time from the last ping of the keepalive to its answer.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.timers()?.round_trip()
    }

    /// Returns the time since bytes came, if a timeout is set.
    pub(crate) fn idle_for(&self) -> Option<Duration> {
        let timers = self.timers()?;
        let driver = &self.0.as_ref()?.driver;
        Some(if driver.has_read() {
            Duration::ZERO
        } else {
            timers.silence()
        })
    }

    fn timers(&self) -> Option<&Timers> {
        self.0.as_ref()?.driver.life()?.timers.as_ref()
    }

    /// Returns whether `poll_next` has returned `None`.
    #[inline]
    pub(crate) fn is_terminated(&self) -> bool {
        let inner = self.0.as_ref();
        inner.is_none_or(|inner| inner.driver.is_terminated())
    }
}
