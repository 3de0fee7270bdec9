//! What limits the life of a socket, and what it shares with others: with its clock the alarm, with
//! its senders the queue.
//!
//! Nothing here sees a stream or a frame. The driver of a connection says what it has seen, and
//! does what [`Life`] decides.

mod alarm;
mod clock;
mod lane;
#[cfg(all(test, anyws_loom))]
mod loom_alarm;
#[cfg(all(test, anyws_loom))]
mod loom_tests;
mod moment;
mod queue;
mod stop;
mod timers;
mod waiting;

use std::{sync::Arc, task::Waker};

pub use self::lane::{Buffered, TrySendError};
pub(crate) use self::{
    queue::{Order, Queue},
    stop::Stop,
    timers::{End, Seen, Timers, Verdict},
    waiting::Waiter,
};
use crate::{
    config::{LifeConfig, QueueConfig},
    rt::Runtime,
};

/// A mark in the queue behind which a message of the socket itself is sent; `None` until it has to
/// wait. Without the mark, senders that queue without a pause would hold it up forever.
pub(crate) type Behind = Option<u64>;

/// What a socket shares with its clock and its senders. Sockets that use neither have none.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// `None` if no timeout is set.
    pub(crate) timers: Option<Timers>,
    /// `None` until the first sender is created.
    pub(crate) queue: Option<Arc<Queue>>,
    /// Why the messages have ended, if the receiving task does not know yet.
    pub(crate) pending_end: Option<End>,
}

impl Life {
    /// Starts the timeouts of a socket. Returns `None` if there are none.
    pub(crate) fn start(
        config: Option<&Arc<LifeConfig>>,
        runtime: Option<&Arc<dyn Runtime>>,
    ) -> Option<Box<Self>> {
        let config = config?;
        let mut life = Self::default();
        life.timers = runtime.and_then(|runtime| Timers::start(config, runtime));
        if config.queue != QueueConfig::default() {
            // Nothing else keeps the bounds until the first sender is created.
            life.queue(Some(config.queue));
        }
        (life.timers.is_some() || life.queue.is_some()).then(|| Box::new(life))
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

    /// Sets the task that senders and the clock wake. Call it before looking for what they did.
    pub(crate) fn register(&self, waker: &Waker) {
        if let Some(timers) = &self.timers {
            timers.register(waker);
        }
        if let Some(queue) = &self.queue {
            queue.register(waker);
        }
    }

    /// Takes an order that a task follows even if it waits to write.
    pub(crate) fn take_urgent(&self) -> Option<Order> {
        self.queue.as_ref()?.take_urgent()
    }

    /// Returns whether senders have queued something, or the maximum lifetime is over.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.has_queued() || self.timers.as_ref().is_some_and(Timers::is_too_old)
    }

    /// Returns whether senders have queued something.
    #[inline]
    pub(crate) fn has_queued(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.is_pending())
    }
}

/// Tells the senders that nothing more is sent.
impl Drop for Life {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.end();
            queue.wake_ready();
        }
    }
}
