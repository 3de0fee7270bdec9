//! One topic: its members, and the one order in which they get what is published.

use std::{
    mem, slice,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{envelope::Envelope, link::Link, members::Members, remote::Remote, sequence::Heard};
use crate::{
    life::{Delivered, Later, Queue},
    proto::PreparedMessage,
    sync::{AtomicUsize, Mutex, MutexGuard, Ordering},
};

/// A topic of a hub.
///
/// Publishing holds its lock to the end: that gives all members one order, and a member that joins
/// meanwhile gets everything from that point on, once.
pub(super) struct Topic {
    name: Arc<str>,
    /// How many topics of the hub have members.
    populated: Arc<AtomicUsize>,
    state: Mutex<State>,
}

struct State {
    members: Members,
    /// What members get when they join.
    latest: Option<PreparedMessage>,
    /// The hub does not know the topic any more.
    is_removed: bool,
    /// `None` without a backplane.
    remote: Option<Box<Remote>>,
}

/// The hub has removed the topic: look for its successor.
pub(super) struct Removed;

/// A member that has joined.
pub(super) struct Joined {
    pub(super) id: u64,
    /// The hub's task has to look at the topic.
    pub(super) is_news: bool,
}

/// What the hub does for a member that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// The topic is gone.
    Remove,
    /// The hub's task has to look at the topic.
    List,
}

/// What the hub's task does with a topic.
pub(super) enum Wanted {
    Nothing,
    Subscribe,
    /// Look again at the end of the grace, with the number of departures.
    Grace(u64),
}

/// What becomes of a topic at the end of its grace.
pub(super) enum Grace {
    /// It has members again.
    Ended,
    /// The last member has left again since: another grace, with the number of departures.
    Again(u64),
    Removed {
        was_subscribed: bool,
    },
}

impl Topic {
    pub(super) fn new(name: Arc<str>, populated: Arc<AtomicUsize>, has_backplane: bool) -> Self {
        Self {
            name,
            populated,
            state: Mutex::new(State {
                members: Members::default(),
                latest: None,
                is_removed: false,
                remote: has_backplane.then(|| Box::new(Remote::new())),
            }),
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn members(&self) -> usize {
        self.lock().members.len()
    }

    /// Adds a member.
    pub(super) fn join(&self, queue: &Arc<Queue>) -> Result<Joined, Removed> {
        // Declared before the lock, so it is dropped after it.
        let mut later = Later::default();
        let mut state = self.lock();
        if state.is_removed {
            return Err(Removed);
        }
        if let Some(latest) = state.latest.clone() {
            queue.deliver(&[latest], &mut Delivered::default(), &mut later);
        }
        if state.members.is_empty() {
            self.populated.fetch_add(1, Ordering::Relaxed);
        }
        let id = state.members.add(Arc::clone(queue));
        let remote = state.remote.as_mut();
        let is_news = remote.is_some_and(|remote| remote.subscribed.is_none() && remote.list());
        Ok(Joined { id, is_news })
    }

    /// Removes a member.
    pub(super) fn leave(&self, id: u64) -> Left {
        let mut state = self.lock();
        let queue = state.members.remove(id);
        let mut waker = None;
        let mut left = Left::Nothing;
        if queue.is_some() && state.members.is_empty() {
            self.populated.fetch_sub(1, Ordering::Relaxed);
            left = state.empty();
        }
        if let Some(remote) = &mut state.remote {
            waker = remote.waiting.remove(&id);
        }
        drop(state);
        // They are the user's.
        drop((queue, waker));
        left
    }

    /// Queues messages for the members, but for `except`, and for the backplane.
    pub(super) fn publish(
        &self,
        messages: &[PreparedMessage],
        except: Option<&Arc<Queue>>,
        link: Option<&Link>,
    ) -> Delivered {
        let mut later = Later::default();
        let state = self.lock();
        let delivered = state.deliver(messages, except, &mut later);
        let posted = link.map(|link| link.publish(&self.name, messages, false));
        drop(state);
        drop(posted);
        delivered
    }

    /// Queues a message for the members and for the backplane, and keeps it.
    pub(super) fn publish_latest(
        &self,
        message: PreparedMessage,
        link: Option<&Link>,
    ) -> Result<Delivered, Removed> {
        let mut later = Later::default();
        let mut state = self.lock();
        if state.is_removed {
            return Err(Removed);
        }
        let messages = [message];
        let delivered = state.deliver(&messages, None, &mut later);
        let posted = link.map(|link| link.publish(&self.name, &messages, true));
        let [message] = messages;
        let mut replaced = None;
        if state.is_followed() {
            replaced = state.latest.replace(message);
        }
        drop(state);
        drop((posted, replaced));
        Ok(delivered)
    }

    /// Forgets the latest message. Returns whether the topic is gone with it.
    pub(super) fn clear_latest(&self) -> bool {
        let mut state = self.lock();
        let latest = state.latest.take();
        let is_gone = state.members.is_empty() && state.remote.is_none();
        state.is_removed |= is_gone;
        drop(state);
        drop(latest);
        is_gone
    }

    /// Queues a message of another process for the members. The caller drops both arguments once it
    /// holds no lock.
    pub(super) fn receive(&self, envelope: &Envelope, later: &mut Later) -> Heard {
        let mut state = self.lock();
        let is_empty = state.members.is_empty();
        let Some(remote) = &mut state.remote else {
            return Heard::Next;
        };
        if is_empty && remote.subscribed.is_none() {
            // It came before the connection was lost. What follows is no loss for those who join.
            return Heard::Next;
        }
        let heard = remote.hear(envelope.node, envelope.sequence);
        if heard == Heard::Again {
            return heard;
        }
        state.deliver(slice::from_ref(&envelope.message), None, later);
        if envelope.is_latest {
            let replaced = state.latest.replace(envelope.message.clone());
            later.messages.extend(replaced);
        }
        heard
    }

    /// Waits until the backplane delivers messages on the topic.
    pub(super) fn poll_subscribed(&self, id: u64, link: &Link, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        let Some(remote) = &mut state.remote else {
            return Poll::Ready(());
        };
        // On another connection, the task subscribes again, and wakes this member: it needs this
        // lock for that.
        let subscribed = remote.subscribed;
        if link.is_over() || subscribed.is_some_and(|connection| link.is_still_up(connection)) {
            return Poll::Ready(());
        }
        let replaced = remote.waiting.insert(id, cx.waker().clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// Returns what the hub's task does with the topic now.
    pub(super) fn look(&self) -> Wanted {
        let mut state = self.lock();
        let has_members = !state.members.is_empty();
        let Some(remote) = &mut state.remote else {
            return Wanted::Nothing;
        };
        remote.is_listed = false;
        match (has_members, remote.subscribed.is_some()) {
            (true, false) => Wanted::Subscribe,
            (false, _) if !remote.is_leaving => {
                remote.is_leaving = true;
                Wanted::Grace(remote.departures)
            }
            _ => Wanted::Nothing,
        }
    }

    /// Ends the grace that began with the last of so many departures.
    pub(super) fn end_grace(&self, departures: u64) -> Grace {
        let mut state = self.lock();
        let is_empty = state.members.is_empty();
        let Some(remote) = &mut state.remote else {
            return Grace::Ended;
        };
        if is_empty && remote.departures != departures {
            return Grace::Again(remote.departures);
        }
        remote.is_leaving = false;
        let was_subscribed = remote.subscribed.is_some();
        state.is_removed = is_empty;
        if is_empty {
            Grace::Removed { was_subscribed }
        } else {
            Grace::Ended
        }
    }

    /// Notes that no task looks at the topic. Returns whether the topic is gone.
    pub(super) fn abandon(&self) -> bool {
        let mut state = self.lock();
        if let Some(remote) = &mut state.remote {
            remote.is_listed = false;
            remote.is_leaving = false;
            remote.subscribed = None;
        }
        state.is_removed |= state.members.is_empty();
        state.is_removed
    }

    /// Notes that the topic is subscribed on a connection.
    pub(super) fn subscribed(&self, connection: u64) {
        if let Some(remote) = &mut self.lock().remote {
            remote.subscribed = Some(connection);
        }
        self.wake_waiting();
    }

    /// Notes that the topic is not subscribed any more.
    pub(super) fn unsubscribed(&self) {
        let mut state = self.lock();
        let is_empty = state.members.is_empty();
        if let Some(remote) = &mut state.remote {
            remote.subscribed = None;
            if is_empty {
                // What is published now is no loss for those who join later.
                remote.forget();
            }
        }
        // Nobody would be told that it is not the latest one any more.
        let latest = if is_empty { state.latest.take() } else { None };
        drop(state);
        drop(latest);
    }

    /// Wakes the members that wait until the topic is subscribed.
    pub(super) fn wake_waiting(&self) {
        let waiting = match &mut self.lock().remote {
            // Not drained, or a crowd would leave its memory behind.
            Some(remote) => mem::take(&mut remote.waiting),
            None => return,
        };
        waiting.into_values().for_each(Waker::wake);
    }

    /// Nothing that runs under the lock panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deliver(
        &self,
        messages: &[PreparedMessage],
        except: Option<&Arc<Queue>>,
        later: &mut Later,
    ) -> Delivered {
        let mut delivered = Delivered::default();
        for queue in self.members.iter() {
            if except.is_none_or(|except| !Arc::ptr_eq(except, queue)) {
                queue.deliver(messages, &mut delivered, later);
            }
        }
        delivered
    }

    /// Returns whether the latest message would be replaced by a later one of another process. A
    /// topic with members is subscribed as soon as possible, and its reader is told of the gap.
    fn is_followed(&self) -> bool {
        let is_subscribed = |remote: &Remote| remote.subscribed.is_some();
        !self.members.is_empty() || self.remote.as_deref().is_none_or(is_subscribed)
    }

    /// Notes that the last member has left.
    fn empty(&mut self) -> Left {
        match &mut self.remote {
            Some(remote) => {
                remote.departures += 1;
                if !remote.is_leaving && remote.list() {
                    Left::List
                } else {
                    Left::Nothing
                }
            }
            None if self.latest.is_none() => {
                self.is_removed = true;
                Left::Remove
            }
            None => Left::Nothing,
        }
    }
}
