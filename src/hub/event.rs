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
        /// How many messages of one hub are missing before one that has just arrived. `None` if
        /// that is unknown: after each [`Down`](Self::Down), for each topic with members, because
        /// messages of that time may be missing; and if the other hub does not remember the number
        /// of its last message on the topic.
        lost: Option<u64>,
    },
    /// Messages of this process may not have reached other processes.
    #[non_exhaustive]
    PublishFailed {
        /// The topic.
        topic: Arc<str>,
        /// How many messages on this topic: at most so many are lost.
        lost: u64,
        /// Why: the backplane is [`Down`](Self::Down), has refused the messages or not confirmed
        /// them in time, or the queue to it is full. It is shared by all topics that it concerns.
        error: Arc<dyn Error + Send + Sync>,
    },
    /// Messages of other processes do not arrive on a topic until the next [`Up`](Self::Up), or
    /// until a member joins after all others have left.
    #[non_exhaustive]
    SubscribeFailed {
        /// The topic.
        topic: Arc<str>,
        /// Why the backplane has refused.
        error: BoxError,
    },
    /// So many events are missing here, because nobody has read them in time.
    Skipped(u64),
}

/// The events of a hub with a backplane.
///
/// It is a stream that ends once all clones of the hub are dropped. Events wait here until they are
/// read, 1,024 at most. Then the oldest are dropped, and [`Event::Skipped`] says how many.
/// If you drop the stream, the events are dropped, too; the hub works on.
pub struct Events(Arc<EventQueue>);

#[derive(Default)]
pub(super) struct EventQueue {
    state: Mutex<State>,
    reader: AtomicWaker,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    skipped: u64,
    is_over: bool,
    /// Nobody reads.
    is_abandoned: bool,
}

impl EventQueue {
    pub(super) fn push(&self, event: Event) {
        let mut state = self.lock();
        if state.is_abandoned {
            return;
        }
        let dropped = state.push(event);
        drop(state);
        drop(dropped);
        self.reader.wake();
    }

    /// Ends the stream of events, behind those that wait.
    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.reader.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Queues an event. Returns one that is dropped, which the caller does after its lock.
    fn push(&mut self, mut event: Event) -> Option<Event> {
        if self
            .events
            .back_mut()
            .is_some_and(|last| last.merge(&event))
        {
            return Some(event);
        }
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
            return None;
        }
        self.skipped += 1;
        self.events.rotate_left(1);
        if let Some(oldest) = self.events.back_mut() {
            mem::swap(oldest, &mut event);
        }
        Some(event)
    }

    fn pop(&mut self) -> Option<Event> {
        match mem::take(&mut self.skipped) {
            0 => self.events.pop_front(),
            skipped => Some(Event::Skipped(skipped)),
        }
    }
}

impl Event {
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

    /// Waits for the next event. Returns `None` once all clones of the hub are dropped.
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
        state.is_over && state.skipped == 0 && state.events.is_empty()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Events")
            .field("unread", &state.events.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_abandoned = true;
        let unread = mem::take(&mut state.events);
        drop(state);
        drop(unread);
    }
}
