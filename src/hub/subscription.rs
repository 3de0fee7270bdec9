//! A member's place in a topic.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Weak},
    task::Poll,
};

use super::{Inner, topic::Topic};
use crate::future::PollFn;

/// A socket's membership in a topic. Dropping it leaves the topic; what is queued is still sent.
///
/// [`Hub::join`](super::Hub::join) creates it. Keep it in the handler, so that the socket leaves
/// when the handler ends. `let _ = hub.join(…)` drops it at once; `let _membership` keeps it. It
/// does not keep the hub alive.
#[must_use = "dropping it leaves the topic: keep it in a variable with a name, not in `_`"]
pub struct Subscription {
    hub: Weak<Inner>,
    topic: Arc<Topic>,
    id: u64,
}

impl Subscription {
    pub(super) fn new(hub: Weak<Inner>, topic: Arc<Topic>, id: u64) -> Self {
        Self { hub, topic, id }
    }

    /// Returns the topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.topic.name()
    }

    /// Waits until what other processes publish on the topic arrives here.
    ///
    /// Without a backplane that is at once, and also once the hub is disconnected. Otherwise it
    /// takes a round trip after the first member of this process has joined, and as long as the
    /// backplane is down. Wait for it before you load the history of a room, so that no message is
    /// missing between both. What was published since the socket joined is sent before what the
    /// handler then sends: the guide on [more than one machine](crate::guide::machines#history)
    /// says what that means for clients.
    ///
    /// It never ends if the topic is refused, which is
    /// [`Event::SubscribeFailed`](super::Event::SubscribeFailed), and the socket sends and receives
    /// nothing while its handler waits here: use [`rt::timeout`](crate::rt::timeout).
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time: the next call continues to wait.
    #[must_use = "futures do nothing unless polled"]
    pub fn ready(&mut self) -> impl Future<Output = ()> + Send + Unpin {
        PollFn::new(|cx| match self.hub.upgrade() {
            Some(hub) => hub.poll_subscribed(&self.topic, self.id, cx),
            None => Poll::Ready(()),
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let left = self.topic.leave(self.id);
        if let Some(hub) = self.hub.upgrade() {
            hub.left(&self.topic, left);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.topic.name())
            .finish_non_exhaustive()
    }
}
