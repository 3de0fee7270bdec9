//! What limits the life of a socket, and what it shares with others: with its clock the alarm, with
//! its senders the queue.
//!
//! Nothing here sees a stream or a frame. The driver of a connection says what it has seen, and
//! does what [`Life`] decides.

mod alarm;
mod clock;
mod delivered;
mod lane;
#[cfg(all(test, anyws_loom))]
mod loom_alarm;
#[cfg(all(test, anyws_loom))]
mod loom_tests;
mod moment;
mod order;
mod queue;
mod rate;
mod stop;
mod timers;
mod waiting;

use std::{sync::Arc, task::Waker};

pub use self::{
    delivered::Delivered,
    lane::{Buffered, TrySendError},
};
pub(crate) use self::{
    delivered::Later,
    order::Order,
    queue::Queue,
    rate::{Allowance, Rates},
    stop::Stop,
    timers::{End, Seen, Timers, Verdict},
    waiting::Waiter,
};
use crate::{
    config::{LifeConfig, QueueConfig},
    message::CloseFrame,
    rt::Runtime,
    tracker::{Notice, Seat},
};

/// A mark in the queue behind which a message of the socket itself is sent; `None` until it has to
/// wait. Without the mark, senders that queue without a pause would hold it up forever.
pub(crate) type Behind = Option<u64>;

/// What a socket shares with its clock, its senders and its tracker. Sockets that use none of them
/// have no `Life`.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// `None` if neither a timeout nor a rate is set.
    pub(crate) timers: Option<Timers>,
    /// `None` if no rate is set.
    rates: Option<Box<Rates>>,
    /// `None` until the first sender is created.
    pub(crate) queue: Option<Arc<Queue>>,
    /// `None` if no tracker counts the socket.
    pub(crate) seat: Option<Seat>,
}

impl Life {
    /// Starts the timeouts of a socket. Returns `None` if there are none.
    pub(crate) fn start(
        config: Option<&Arc<LifeConfig>>,
        runtime: Option<&Arc<dyn Runtime>>,
        seat: Option<Seat>,
    ) -> Option<Box<Self>> {
        let mut life = Self::default();
        life.seat = seat;
        if let Some(config) = config {
            life.timers = runtime.and_then(|runtime| Timers::start(config, runtime));
            let timers = life.timers.as_ref();
            life.rates = timers.and_then(|timers| Rates::start(config, timers));
            if config.queue != QueueConfig::default() {
                // Nothing else keeps the bounds until the first sender is created.
                life.queue(Some(config.queue));
            }
        }
        let is_used = life.timers.is_some() || life.queue.is_some() || life.seat.is_some();
        is_used.then(|| Box::new(life))
    }

    /// Ends timeouts and senders: the connection belongs to nobody any more. Its tracker still
    /// counts it.
    pub(crate) fn abandon(mut self: Box<Self>) -> Option<Box<Self>> {
        // The task that waited may be gone.
        self.seat.as_ref()?.forget_task();
        self.timers = None;
        self.rates = None;
        self.end_senders();
        Some(self)
    }

    /// Tells the senders that nothing more is sent.
    fn end_senders(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.end();
            queue.wake_ready();
        }
    }

    /// Returns the queue of the socket's senders, and creates it if there is none. With `config`,
    /// its bounds are changed.
    pub(crate) fn queue(&mut self, config: Option<QueueConfig>) -> &Arc<Queue> {
        let queue = self.queue.get_or_insert_default();
        if let Some(config) = config {
            queue.set_config(config);
        }
        queue
    }

    /// Sets the task that senders, the clock and the tracker wake. Call it before looking for what
    /// they did. Returns what the tracker asks.
    pub(crate) fn register(&self, waker: &Waker) -> Notice {
        if let Some(timers) = &self.timers {
            timers.register(waker);
        }
        if let Some(queue) = &self.queue {
            queue.register(waker);
        }
        let seat = self.seat.as_ref();
        seat.map_or(Notice::Stay, |seat| seat.watch(waker))
    }

    /// Returns what the tracker asks.
    #[inline]
    pub(crate) fn notice(&self) -> Notice {
        self.seat.as_ref().map_or(Notice::Stay, Seat::notice)
    }

    /// Returns the Close of a drain, if one has begun.
    pub(crate) fn drain_frame(&self) -> Option<CloseFrame> {
        self.seat.as_ref()?.drain_frame()
    }

    /// Takes an order that a task follows even if it waits to write.
    pub(crate) fn take_urgent(&self) -> Option<Order> {
        self.queue.as_ref()?.take_urgent()
    }

    /// Returns whether senders have queued something, the maximum lifetime is over, or the tracker
    /// asks for something.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.has_queued()
            || self.notice() != Notice::Stay
            || self.timers.as_ref().is_some_and(Timers::is_too_old)
    }

    /// Returns whether senders have queued something.
    #[inline]
    pub(crate) fn has_queued(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.is_pending())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end_senders();
    }
}
