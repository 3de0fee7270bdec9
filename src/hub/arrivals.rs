//! What other hubs have published, on its way to the members of this one.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, PoisonError},
    task::{Context, Poll},
};

use super::{
    envelope::{Envelope, MAX_ENVELOPE},
    event::Event,
    link::Link,
    sequence::Heard,
    topic::Topic,
};
use crate::{
    life::Later,
    sync::{AtomicWaker, Mutex, MutexGuard},
};

/// How many messages are delivered in a turn: a quarter of what the queue of a member holds by
/// default. Its task takes them over before the next turn.
const TURN: usize = 64;
/// How many messages wait for a turn: as many as wait for the backplane in another process.
const MAX_MESSAGES: usize = 10_000;
/// How many bytes wait for a turn: the longest message at least.
const MAX_BYTES: usize = MAX_ENVELOPE;

/// The messages that the backplane has delivered and the members do not have yet.
///
/// A backplane may deliver any number of messages in one poll. If all went to the members at once,
/// a burst would fill the queues of those that read fast enough, and close them.
pub(super) struct Arrivals {
    waiting: Mutex<Waiting>,
    task: AtomicWaker,
}

struct Waiting {
    messages: VecDeque<Arrival>,
    bytes: usize,
    /// How many messages may still be delivered in this turn.
    left: usize,
    /// The hub's task has ended: there is no other turn.
    is_over: bool,
}

/// A message of another hub.
pub(super) struct Arrival {
    pub(super) topic: Arc<Topic>,
    pub(super) envelope: Envelope,
}

impl Link {
    /// Delivers a message in this turn of the hub's task, or leaves it to the next one.
    pub(super) fn arrive(&self, arrival: Arrival) {
        self.arrivals.lock().push(arrival);
        if self.deliver() {
            self.arrivals.task.wake();
        }
    }

    /// Begins a turn with each poll of the hub's task. It never ends.
    pub(super) fn poll_arrivals(&self, cx: &Context<'_>) -> Poll<Infallible> {
        self.arrivals.task.register(cx.waker());
        self.arrivals.lock().left = TURN;
        if self.deliver() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Delivers everything, from now on at once: the hub's task has ended.
    pub(super) fn end_arrivals(&self) {
        self.arrivals.lock().is_over = true;
        self.deliver();
    }

    /// Delivers what this turn allows. Returns whether messages are left.
    fn deliver(&self) -> bool {
        loop {
            // Declared before the lock, so it is dropped after it.
            let mut later = Later::default();
            let mut waiting = self.arrivals.lock();
            let Some(arrival) = waiting.next() else {
                return !waiting.messages.is_empty();
            };
            // Under the lock, so that the messages keep their order.
            let told = match arrival.topic.receive(&arrival.envelope, &mut later) {
                Heard::Next => None,
                Heard::AfterGap(lost) => {
                    let topic = Arc::clone(arrival.topic.name());
                    Some(self.events.queue(Event::Gap { topic, lost }))
                }
                Heard::Again => {
                    self.ignore();
                    None
                }
            };
            drop(waiting);
            drop(told);
        }
    }
}

impl Arrivals {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                messages: VecDeque::new(),
                bytes: 0,
                left: TURN,
                is_over: false,
            }),
            task: AtomicWaker::default(),
        }
    }

    /// Nothing that runs under the lock panics.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, arrival: Arrival) {
        self.bytes += arrival.envelope.size();
        self.messages.push_back(arrival);
    }

    /// Takes the next message if the turn allows it, or if too much waits.
    fn next(&mut self) -> Option<Arrival> {
        let is_full = self.messages.len() > MAX_MESSAGES || self.bytes > MAX_BYTES;
        if self.left == 0 && !is_full && !self.is_over {
            return None;
        }
        let arrival = self.messages.pop_front()?;
        self.left = self.left.saturating_sub(1);
        self.bytes -= arrival.envelope.size();
        if self.messages.is_empty() && self.messages.capacity() > TURN {
            // A burst may have been large.
            self.messages = VecDeque::new();
        }
        Some(arrival)
    }
}
