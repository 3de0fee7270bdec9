//! What a hub tells about its backplane.

use std::{
    collections::VecDeque,
    error::Error,
    fmt, mem,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll},
};

use futures_core::{Stream, future::FusedFuture, stream::FusedStream};

use crate::{
    error::BoxError,
    future::PollFn,
    sync::{AtomicWaker, Mutex, MutexGuard},
};

/// How many events are kept for a reader that is late: enough to react to the first of them.
const MAX_EVENTS: usize = 1024;

/// What happened between a [`Hub`](super::Hub) and the hubs of other processes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The hub is connected, and has subscribed to the topics of its members.
    Up,
    /// The hub is not connected, and keeps trying. The members of this process still reach each
    /// other. It comes again if the reason changes.
    Down(BoxError),
    /// Messages of another process are missing on a topic.
    #[non_exhaustive]
    Gap {
        /// The topic.
        topic: Arc<str>,
        /// How many messages of one hub are missing before one that has just arrived. A hub that
        /// was not heard of before on the topic has no gap: nobody knows since when it publishes.
        /// Each topic remembers at least the last 1,024 hubs.
        ///
        /// `None` if the number is unknown: after each [`Down`](Self::Down), for each topic with
        /// members, because messages of that time may be missing; and if the other hub does not
        /// remember the number of its last message on the topic.
        lost: Option<u64>,
    },
    /// Messages of this process may not have reached other processes. While the backplane is down,
    /// each message can be an event of its own.
    #[non_exhaustive]
    PublishFailed {
        /// The topic.
        topic: Arc<str>,
        /// How many messages on this topic may be lost.
        lost: u64,
        /// Why: the backplane is [`Down`](Self::Down), has refused the messages or not confirmed
        /// them in time, or the queue to it is full. It is shared by all topics that it concerns.
        error: Arc<dyn Error + Send + Sync>,
    },
    /// Messages of other processes do not arrive on a topic. The hub tries again at the next
    /// [`Up`](Self::Up), and for each member that joins.
    #[non_exhaustive]
    SubscribeFailed {
        /// The topic.
        topic: Arc<str>,
        /// Why the backplane has refused.
        error: BoxError,
    },
    /// So many events were dropped since the last one of this kind, because nobody has read them in
    /// time. [`Up`](Self::Up) and [`Down`](Self::Down) are dropped last.
    Skipped(u64),
}

/// The events of a hub with a backplane.
///
/// It is a stream that ends once the hub [is disconnected](super::Hub::disconnect), and everything
/// that was published has reached the backplane or has failed. Events wait here until they are
/// read, 1,024 at most, and a gap for each topic. What comes then is dropped, and
/// [`Event::Skipped`] says how many events were. If you drop the stream, the events are dropped,
/// too; the hub works on.
pub struct Events(Arc<EventQueue>);

#[derive(Default)]
pub(super) struct EventQueue {
    state: Mutex<State>,
    reader: AtomicWaker,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// The topics of [`Entry::Gaps`].
    gaps: VecDeque<Arc<str>>,
    skipped: u64,
    is_over: bool,
    /// Nobody reads.
    is_abandoned: bool,
}

enum Entry {
    Event(Event),
    /// A gap of unknown size for each of many topics. There is one such entry at most.
    Gaps,
}

/// What is left to do for an event. Dropping it wakes the reader, and drops the event that found no
/// space: both may run code of the user.
#[must_use]
pub(super) struct Told<'a> {
    queue: &'a EventQueue,
    _dropped: Option<Event>,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.queue.reader.wake();
    }
}

impl EventQueue {
    pub(super) fn push(&self, event: Event) {
        drop(self.queue(event));
    }

    /// Queues an event. The caller drops the result once it holds no lock.
    pub(super) fn queue(&self, event: Event) -> Told<'_> {
        let dropped = self.lock().push(event);
        Told {
            queue: self,
            _dropped: dropped,
        }
    }

    /// Tells that messages may be missing on topics.
    pub(super) fn push_gaps(&self, topics: VecDeque<Arc<str>>) {
        self.change(|state| {
            state.entries.retain(|entry| !matches!(entry, Entry::Gaps));
            state.entries.push_back(Entry::Gaps);
            state.gaps = topics;
        });
    }

    /// Ends the stream of events, behind those that wait.
    pub(super) fn end(&self) {
        self.change(|state| state.is_over = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        if state.is_abandoned || state.is_over {
            return;
        }
        change(&mut state);
        drop(state);
        self.reader.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Queues an event. Returns one that is dropped.
    fn push(&mut self, event: Event) -> Option<Event> {
        if self.is_abandoned || self.is_over {
            return Some(event);
        }
        if let Some(Entry::Event(last)) = self.entries.back_mut()
            && last.merge(&event)
        {
            return Some(event);
        }
        if self.entries.len() < MAX_EVENTS {
            self.entries.push_back(Entry::Event(event));
            return None;
        }
        self.skipped += 1;
        if !event.is_of_connection() {
            return Some(event);
        }
        // Whether the hub is up is never lost. Only if that changes again and again, the oldest
        // change is.
        let is_droppable =
            |entry: &Entry| matches!(entry, Entry::Event(it) if !it.is_of_connection());
        let is_event = |entry: &Entry| matches!(entry, Entry::Event(_));
        let position = |of: fn(&Entry) -> bool| self.entries.iter().position(of);
        let oldest = position(is_droppable).or_else(|| position(is_event));
        let dropped = oldest.and_then(|at| self.entries.remove(at));
        self.entries.push_back(Entry::Event(event));
        match dropped {
            Some(Entry::Event(dropped)) => Some(dropped),
            _ => None,
        }
    }

    fn pop(&mut self) -> Option<Event> {
        let skipped = mem::take(&mut self.skipped);
        if skipped > 0 {
            return Some(Event::Skipped(skipped));
        }
        loop {
            if let Some(Entry::Gaps) = self.entries.front()
                && let Some(topic) = self.gaps.pop_front()
            {
                return Some(Event::Gap { topic, lost: None });
            }
            if let Entry::Event(event) = self.entries.pop_front()? {
                return Some(event);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.skipped == 0
    }
}

impl Event {
    /// Returns whether it tells of the connection, and not of messages.
    fn is_of_connection(&self) -> bool {
        matches!(self, Self::Up | Self::Down(_))
    }

    /// Adds failures of the same kind. Returns whether it was one.
    fn merge(&mut self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::PublishFailed { topic, lost, error },
                Self::PublishFailed {
                    topic: other,
                    lost: more,
                    error: same,
                },
            ) if topic == other && Arc::ptr_eq(error, same) => {
                *lost += more;
                true
            }
            _ => false,
        }
    }
}

impl Events {
    pub(super) fn new(queue: &Arc<EventQueue>) -> Self {
        Self(Arc::clone(queue))
    }

    /// Waits for the next event. Returns `None` once the hub [is
    /// disconnected](super::Hub::disconnect), and everything that was published has reached the
    /// backplane or has failed.
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time: no event is lost.
    #[expect(clippy::should_implement_trait, reason = "the name that sockets have")]
    pub fn next(&mut self) -> impl FusedFuture<Output = Option<Event>> + Send + Unpin {
        PollFn::new(|cx| self.poll_event(cx))
    }

    fn poll_event(&mut self, cx: &Context<'_>) -> Poll<Option<Event>> {
        self.0.reader.register(cx.waker());
        let mut state = self.0.lock();
        match state.pop() {
            None if !state.is_over => Poll::Pending,
            event => Poll::Ready(event),
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll_event(cx)
    }
}

impl FusedStream for Events {
    fn is_terminated(&self) -> bool {
        let state = self.0.lock();
        state.is_over && state.is_empty()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Events")
            .field("unread", &state.entries.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_abandoned = true;
        let unread = (mem::take(&mut state.entries), mem::take(&mut state.gaps));
        drop(state);
        drop(unread);
    }
}
