//! What a hub shares with the task that speaks to its backplane.

use std::{
    error::Error,
    fmt, mem,
    sync::{Arc, PoisonError, Weak},
    task::{Context, Poll},
};

use super::{
    arrivals::Arrivals,
    envelope::{Envelope, MAX_ENVELOPE, MAX_PAYLOAD},
    event::{Event, EventQueue},
    outbox::{Outbound, Outbox},
    topic::Topic,
    topics::Topics,
};
use crate::{
    error::BoxError,
    proto::PreparedMessage,
    sync::{AtomicUsize, AtomicWaker, Mutex, MutexGuard, Ordering},
};

/// The longest topic that travels, in bytes: a name, and no data.
const MAX_TOPIC: usize = 4 * 1024;

/// Why messages of this process do not reach other processes.
#[derive(Debug, thiserror::Error)]
enum NotPublished {
    #[error("the backplane is down")]
    Down,
    #[error("the queue to the backplane is full: it is slower than this process publishes")]
    Full,
    #[error("the message is larger than {MAX_PAYLOAD} bytes")]
    TooLarge,
    #[error("the topic is longer than {MAX_TOPIC} bytes")]
    TopicTooLong,
}

/// The backplane has ended before its hub.
#[derive(Debug, thiserror::Error)]
#[error("the backplane has ended: it returned or panicked, or its runtime was shut down")]
struct Ended;

/// The side of a hub that speaks to other processes.
pub(super) struct Link {
    /// Tells this hub from all others.
    node: u64,
    state: Mutex<State>,
    task: AtomicWaker,
    ignored: AtomicUsize,
    pub(super) events: Arc<EventQueue>,
    pub(super) arrivals: Arrivals,
    reasons: Reasons,
}

struct State {
    status: Status,
    /// Another number for each connection.
    connection: u64,
    /// The backplane was connected again since the task has looked.
    is_reset: bool,
    /// Messages may be missing since the last time that the hub was up.
    was_down: bool,
    phase: Phase,
    /// Topics whose first member has joined, or whose last one has left.
    listed: Vec<Arc<Topic>>,
    outbox: Outbox,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// The first attempt to connect goes on: messages wait.
    Starting,
    Up,
    Down,
}

/// Whether the hub and its task are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The hub has disconnected or is dropped, and the task publishes what is left.
    Ending,
    /// The task has ended before.
    Stopped,
    /// Both.
    Ended,
}

/// The task of the hub. Dropping it says that it has ended.
pub(super) struct Running {
    link: Arc<Link>,
    topics: Weak<Topics>,
}

impl Running {
    pub(super) fn new(link: &Arc<Link>, topics: Weak<Topics>) -> Self {
        let link = Arc::clone(link);
        Self { link, topics }
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    pub(super) fn topics(&self) -> &Weak<Topics> {
        &self.topics
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.link.stopped();
        self.link.end_arrivals();
        // From here on, `Link::list` refuses topics.
        if let Some(topics) = self.topics.upgrade() {
            for topic in topics.all() {
                topics.abandon(&topic);
            }
        }
    }
}

/// What the task does next.
pub(super) struct Work {
    pub(super) is_up: bool,
    /// Stands for the connection.
    pub(super) connection: u64,
    /// Nothing is subscribed any more.
    pub(super) is_reset: bool,
    pub(super) is_over: bool,
    pub(super) listed: Vec<Arc<Topic>>,
    pub(super) batch: Vec<Outbound>,
}

/// Messages that were queued for the backplane, or lost. Dropping it tells the user and the task.
#[must_use]
pub(super) struct Posted<'a> {
    link: &'a Link,
    topic: &'a Arc<str>,
    is_queued: bool,
    too_large: usize,
    lost: usize,
    reason: &'a Arc<dyn Error + Send + Sync>,
}

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        let too_large = &self.link.reasons.too_large;
        self.link.lose(self.topic, self.too_large, too_large);
        self.link.lose(self.topic, self.lost, self.reason);
        if self.is_queued {
            self.link.task.wake();
        }
    }
}

/// Shared, so that failures for one reason become one event.
struct Reasons {
    down: Arc<dyn Error + Send + Sync>,
    full: Arc<dyn Error + Send + Sync>,
    too_large: Arc<dyn Error + Send + Sync>,
    too_long: Arc<dyn Error + Send + Sync>,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            node: rand::random(),
            state: Mutex::new(State {
                status: Status::Starting,
                connection: 0,
                is_reset: false,
                was_down: false,
                phase: Phase::Running,
                listed: Vec::new(),
                outbox: Outbox::new(),
            }),
            task: AtomicWaker::default(),
            ignored: AtomicUsize::new(0),
            events: Arc::default(),
            arrivals: Arrivals::new(),
            reasons: Reasons {
                down: Arc::new(NotPublished::Down),
                full: Arc::new(NotPublished::Full),
                too_large: Arc::new(NotPublished::TooLarge),
                too_long: Arc::new(NotPublished::TopicTooLong),
            },
        }
    }

    /// Returns whether an envelope is one of this hub.
    pub(super) fn is_own(&self, envelope: &Envelope) -> bool {
        envelope.node == self.node
    }

    /// Returns whether a topic is short enough to travel.
    pub(super) fn carries(topic: &str) -> bool {
        topic.len() <= MAX_TOPIC
    }

    /// Counts a message that no hub has sent.
    pub(super) fn ignore(&self) {
        self.ignored.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ignored(&self) -> usize {
        self.ignored.load(Ordering::Relaxed)
    }

    /// Queues messages for the backplane, and waits for nothing. The caller drops the result once
    /// it holds no lock.
    pub(super) fn publish<'a>(
        &'a self,
        topic: &'a Arc<str>,
        messages: &[PreparedMessage],
        is_latest: bool,
    ) -> Posted<'a> {
        let messages = messages.iter().filter(|it| Envelope::carries(it));
        let mut posted = Posted {
            link: self,
            topic,
            is_queued: false,
            too_large: 0,
            lost: 0,
            reason: &self.reasons.full,
        };
        if !Self::carries(topic) {
            posted.lost = messages.count();
            posted.reason = &self.reasons.too_long;
            return posted;
        }
        let mut state = self.lock();
        // A backplane with a thread of its own may connect though nobody publishes any more.
        let is_down = state.status == Status::Down || state.phase != Phase::Running;
        if is_down {
            posted.reason = &self.reasons.down;
        }
        for message in messages {
            let envelope = Envelope {
                node: self.node,
                sequence: state.outbox.number(topic),
                is_latest,
                message: message.clone(),
            };
            if envelope.size() > MAX_ENVELOPE {
                posted.too_large += 1;
                continue;
            }
            let topic = Arc::clone(topic);
            if is_down || state.outbox.push(Outbound { topic, envelope }).is_err() {
                posted.lost += 1;
            } else {
                posted.is_queued = true;
            }
        }
        posted
    }

    /// Tells that messages may be lost.
    pub(super) fn lose(&self, topic: &Arc<str>, lost: usize, error: &Arc<dyn Error + Send + Sync>) {
        if lost > 0 {
            self.events.push(Event::PublishFailed {
                topic: Arc::clone(topic),
                lost: lost as u64,
                error: Arc::clone(error),
            });
        }
    }

    /// Tells that a topic is not subscribed.
    pub(super) fn refuse(&self, topic: &Arc<str>, error: BoxError) {
        let topic = Arc::clone(topic);
        self.events.push(Event::SubscribeFailed { topic, error });
    }

    pub(super) fn refuse_long(&self, topic: &Arc<str>) {
        self.refuse(topic, NotPublished::TopicTooLong.into());
    }

    /// Asks the task to look at a topic. Returns it if the task has ended.
    pub(super) fn list(&self, topic: Arc<Topic>) -> Result<(), Arc<Topic>> {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Stopped | Phase::Ended) {
            return Err(topic);
        }
        state.listed.push(topic);
        drop(state);
        self.task.wake();
        Ok(())
    }

    /// The backplane is connected: nothing is subscribed yet.
    pub(super) fn connected(&self) {
        let mut state = self.lock();
        state.status = Status::Up;
        state.connection += 1;
        state.is_reset = true;
        drop(state);
        self.task.wake();
    }

    /// The backplane is not connected. What waits for it is lost.
    pub(super) fn disconnected(&self, reason: BoxError) {
        let mut state = self.lock();
        state.status = Status::Down;
        state.connection += 1;
        state.is_reset = true;
        state.was_down = true;
        let lost = state.outbox.clear();
        // Under the lock, or another thread might tell a later change before.
        let told = self.events.queue(Event::Down(reason));
        drop(state);
        drop(told);
        self.lose_all(&lost);
        self.task.wake();
    }

    /// The backplane has returned, and never connects again.
    pub(super) fn returned(&self) {
        self.disconnected(Ended.into());
    }

    /// Tells that messages may be lost, because the backplane has gone.
    pub(super) fn lose_all<'a>(&self, lost: impl IntoIterator<Item = &'a Outbound>) {
        for outbound in lost {
            self.lose(&outbound.topic, 1, &self.reasons.down);
        }
    }

    /// Returns whether the backplane is up, and on the same connection as before.
    pub(super) fn is_still_up(&self, connection: u64) -> bool {
        let state = self.lock();
        state.status == Status::Up && state.connection == connection
    }

    /// Tells that the hub is up, if it still is. Returns whether messages may be missing.
    pub(super) fn tell_up(&self) -> bool {
        let mut state = self.lock();
        if state.status != Status::Up || state.is_reset {
            return false;
        }
        let was_down = mem::take(&mut state.was_down);
        let told = self.events.queue(Event::Up);
        drop(state);
        drop(told);
        was_down
    }

    /// Nobody publishes any more. The task ends once everything is published.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        let phase = state.phase;
        state.phase = match phase {
            Phase::Running | Phase::Ending => Phase::Ending,
            Phase::Stopped | Phase::Ended => Phase::Ended,
        };
        drop(state);
        if phase == Phase::Stopped {
            self.events.end();
        } else {
            self.task.wake();
        }
    }

    /// Returns whether nobody publishes any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.lock().phase, Phase::Ending | Phase::Ended)
    }

    /// The task has ended.
    fn stopped(&self) {
        // Before the phase says so: from then on, the end of the hub is that of the events.
        let is_running = self.lock().phase == Phase::Running;
        if is_running {
            self.disconnected(Ended.into());
        }
        let mut state = self.lock();
        let phase = state.phase;
        state.phase = match phase {
            Phase::Running | Phase::Stopped => Phase::Stopped,
            Phase::Ending | Phase::Ended => Phase::Ended,
        };
        let listed = mem::take(&mut state.listed);
        let lost = state.outbox.clear();
        drop(state);
        drop(listed);
        self.lose_all(&lost);
        if phase == Phase::Ending {
            self.events.end();
        }
    }

    /// Waits for something to do.
    pub(super) fn poll_work(&self, cx: &Context<'_>) -> Poll<Work> {
        self.task.register(cx.waker());
        let mut state = self.lock();
        let is_up = state.status == Status::Up;
        let is_publishing = is_up && !state.outbox.is_empty();
        // What was published before the first connection still gets its chance.
        let is_waiting = state.status == Status::Starting && !state.outbox.is_empty();
        let is_over = state.phase == Phase::Ending && !is_waiting;
        if !state.is_reset && !is_over && state.listed.is_empty() && !is_publishing {
            return Poll::Pending;
        }
        Poll::Ready(Work {
            is_up,
            connection: state.connection,
            is_reset: mem::take(&mut state.is_reset),
            is_over,
            listed: mem::take(&mut state.listed),
            batch: if is_up {
                state.outbox.take()
            } else {
                Vec::new()
            },
        })
    }

    /// Returns that there is nothing new.
    pub(super) fn no_work(&self) -> Work {
        let state = self.lock();
        Work {
            is_up: state.status == Status::Up && !state.is_reset,
            connection: state.connection,
            is_reset: false,
            is_over: false,
            listed: Vec::new(),
            batch: Vec::new(),
        }
    }

    /// Nothing that runs under the lock panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.lock().status;
        f.debug_struct("Link")
            .field("status", &status)
            .finish_non_exhaustive()
    }
}
