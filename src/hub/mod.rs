//! Topics: messages to all sockets that have joined, of one process or of many.
//!
//! A [`Hub`] has topics, which are names. Sockets [`join`](Hub::join) them with their [`Sender`],
//! and what is [published](Hub::publish) on a topic goes to its members. The guide on
//! [rooms](crate::guide::rooms) shows how.
//!
//! # More than one machine
//!
//! A hub [with a backplane](Hub::with_backplane) shares its topics with the hubs of other
//! processes. With the feature `redis`, and `rt-tokio` or `rt-smol`, `RedisBackplane` is one. The
//! guide on [more than one machine](crate::guide::machines) says what is promised, and what is lost
//! when.

mod arrivals;
mod backplane;
mod envelope;
mod event;
mod inbox;
mod link;
#[cfg(all(test, anyws_loom))]
mod loom_link;
#[cfg(all(test, anyws_loom))]
mod loom_tests;
mod members;
mod outbox;
mod recent;
#[cfg(all(feature = "redis", any(feature = "rt-tokio", feature = "rt-smol")))]
mod redis;
mod remote;
mod sequence;
mod subscription;
mod task;
mod topic;
mod topics;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

#[cfg(all(feature = "redis", any(feature = "rt-tokio", feature = "rt-smol")))]
#[cfg_attr(
    docsrs,
    doc(cfg(all(feature = "redis", any(feature = "rt-tokio", feature = "rt-smol"))))
)]
pub use self::redis::RedisBackplane;
pub use self::{
    backplane::{Backplane, Publication},
    event::{Event, Events},
    inbox::Inbox,
    subscription::Subscription,
};
use self::{
    envelope::Envelope,
    link::{Link, Running},
    topic::{Joined, Left, Removed, Topic},
    topics::Topics,
};
pub use crate::life::Delivered;
use crate::{life::Queue, proto::PreparedMessage, rt::Runtime, socket::Sender};

/// Sends what is published on a topic to all sockets that have joined it.
///
/// Clones share their topics. A hub needs no runtime and spawns nothing, unless it has a
/// [backplane](Self::with_backplane): messages go into the queues of the members'
/// [`Sender`]s, and each socket's own task writes them.
///
/// - All members of a topic get its messages in the same order. A member that joins gets everything
///   from then on, once.
/// - Publishing waits for nobody. A member whose queue is full loses the message or is closed, as
///   its [`QueueConfig`](crate::QueueConfig) says, and [`Delivered`] counts it.
/// - A message is in memory once, and compressed once for each set of parameters.
///
/// Topics are compared byte by byte; there are no wildcards. A topic exists while it has members,
/// and costs about 300 bytes and its name. If clients choose topics, limit how long the names are
/// and how many a socket joins: anyws does not.
///
/// ```
/// use anyws::{WebSocket, hub::Hub};
///
/// async fn handle_socket(mut socket: WebSocket, hub: Hub) {
///     let sender = socket.sender();
///     let _membership = hub.join("lobby", &sender);
///     // While it waits here, the socket sends what others have published.
///     while let Some(Ok(message)) = socket.next_data().await {
///         hub.publish_from(&sender, "lobby", message);
///     }
/// }
/// # futures::executor::block_on(async {
/// # let hub = Hub::new();
/// # let (mut member, _peer) = anyws::testing::pair();
/// # let _membership = hub.join("lobby", &member.sender());
/// # let (socket, mut client) = anyws::testing::pair();
/// # futures::join!(handle_socket(socket, hub.clone()), async move {
/// #     client.send("hello".into()).await.unwrap();
/// #     client.close(None).await.unwrap();
/// # });
/// # assert_eq!(member.sender().buffered().messages, 1);
/// # });
/// ```
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    topics: Arc<Topics>,
    /// `None` without a backplane.
    link: Option<Arc<Link>>,
}

impl Hub {
    /// Creates a hub whose topics are those of this process.
    #[must_use]
    pub fn new() -> Self {
        Self::of(None)
    }

    /// Creates a hub that shares its topics with the hubs of other processes, and the stream of its
    /// events.
    ///
    /// A task of `runtime` speaks to the `backplane`, until the hub
    /// [is disconnected](Self::disconnect) and everything is published. Nothing else waits for the
    /// backplane: not [`publish`](Self::publish), and no socket.
    ///
    /// - Members of this process get a message at once, and other processes get it through the
    ///   backplane, at most once. [`Events`] report what is lost.
    /// - The messages of one hub on a topic arrive in their order. Those of several hubs may be in
    ///   another order in each process.
    /// - Up to 10,000 messages, or 16 MiB, wait for the backplane, also while it connects for the
    ///   first time. Beyond that, and while it is down, messages reach this process only:
    ///   [`Event::PublishFailed`].
    /// - If the process ends, what waits is lost. To wait for it, [`disconnect`](Self::disconnect).
    /// - Only text and binary messages travel, on topics of 4 KiB at most.
    /// - A topic is subscribed from its first member in this process until 10 to 20 seconds after
    ///   the last has left. Until then it keeps its memory, some 450 bytes and its name.
    #[must_use]
    pub fn with_backplane(backplane: impl Backplane, runtime: Arc<dyn Runtime>) -> (Self, Events) {
        let link = Arc::new(Link::new());
        let hub = Self::of(Some(Arc::clone(&link)));
        let topics = Arc::downgrade(&hub.inner.topics);
        let events = Events::new(&link.events);
        let running = Running::new(&link, topics);
        let spawner = Arc::clone(&runtime);
        spawner.spawn(Box::pin(task::run(running, backplane, runtime)));
        (hub, events)
    }

    fn of(link: Option<Arc<Link>>) -> Self {
        let topics = Arc::new(Topics::new(link.is_some()));
        let inner = Arc::new(Inner { topics, link });
        Self { inner }
    }

    /// Adds a socket to a topic, until the returned [`Subscription`] is dropped.
    ///
    /// The socket gets the topic's latest message first, if there is one
    /// ([`publish_latest`](Self::publish_latest)). A socket may join any number of topics. If it
    /// joins one twice, it gets each message twice.
    ///
    /// A hub never waits. If the socket's queue is full and its policy is
    /// [`WhenFull::Wait`](crate::WhenFull::Wait), the default, the socket is closed with code 1013,
    /// as with [`WhenFull::Close`](crate::WhenFull::Close). Choose bounds and policy with
    /// [`WebSocketConfig::set_queue`](crate::WebSocketConfig::set_queue).
    pub fn join(&self, topic: &str, sender: &Sender) -> Subscription {
        loop {
            let known = self.inner.topics.get_or_create(topic);
            match known.join(sender.queue()) {
                Ok(Joined { id, is_news }) => {
                    if is_news {
                        self.inner.list(&known);
                    }
                    return Subscription::new(Arc::downgrade(&self.inner), known, id);
                }
                Err(Removed) => self.inner.topics.remove(&known),
            }
        }
    }

    /// Queues a message for each member of a topic, and waits for none.
    ///
    /// The message is what [`Sender::try_send`] accepts: a text, binary data, a
    /// [`Message`](crate::Message) or a [`PreparedMessage`]. With a backplane, it also goes to the
    /// members in other processes, which the result does not count.
    pub fn publish(&self, topic: &str, message: impl Into<PreparedMessage>) -> Delivered {
        self.publish_to(topic, &[message.into()], None)
    }

    /// Queues a message for each member but one: for everybody except who says it.
    ///
    /// `sender` is any sender of the socket that does not get the message.
    pub fn publish_from(
        &self,
        sender: &Sender,
        topic: &str,
        message: impl Into<PreparedMessage>,
    ) -> Delivered {
        self.publish_to(topic, &[message.into()], Some(sender.queue()))
    }

    /// Queues several messages for each member, in order and without others between them.
    ///
    /// This costs far less than to publish one after the other: each member is locked and woken
    /// once, and its socket writes all of them at once.
    pub fn publish_all<M: Into<PreparedMessage>>(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = M>,
    ) -> Delivered {
        let messages: Vec<_> = messages.into_iter().map(Into::into).collect();
        self.publish_to(topic, &messages, None)
    }

    /// Queues a message for each member, and keeps it for those that join later: they get it first.
    ///
    /// Only the latest message is kept, until [`clear_latest`](Self::clear_latest), also while the
    /// topic has no members. With a backplane, each process keeps the latest message that it has
    /// seen, from its first member until 10 to 20 seconds after the last has left, or until the
    /// connection is lost in that time. Without members it keeps none, because it would not notice
    /// later ones. A ping, pong or Close is not kept.
    ///
    /// This does not replace what is still queued for a member, as
    /// [`Sender::send_latest`] does.
    pub fn publish_latest(&self, topic: &str, message: impl Into<PreparedMessage>) -> Delivered {
        let message = message.into();
        if !Envelope::carries(&message) {
            return self.publish(topic, message);
        }
        let link = self.inner.link.as_deref();
        loop {
            // Without a member, nothing keeps it up to date.
            let known = match link {
                Some(_) => self.inner.topics.get(topic),
                None => Some(self.inner.topics.get_or_create(topic)),
            };
            let Some(known) = known else {
                return self.inner.publish_elsewhere(topic, &[message], true);
            };
            match known.publish_latest(message.clone(), link) {
                Ok(delivered) => return delivered,
                Err(Removed) => self.inner.topics.remove(&known),
            }
        }
    }

    /// Forgets the latest message of a topic in this process.
    pub fn clear_latest(&self, topic: &str) {
        if let Some(topic) = self.inner.topics.get(topic)
            && topic.clear_latest()
        {
            self.inner.topics.remove(&topic);
        }
    }

    /// Returns how many members a topic has in this process.
    #[must_use]
    pub fn members(&self, topic: &str) -> usize {
        let topic = self.inner.topics.get(topic);
        topic.map_or(0, |topic| topic.members())
    }

    /// Returns how many topics have members in this process.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.inner.topics.populated()
    }

    /// Returns how many messages of the backplane were ignored so far, because no hub of this
    /// version has sent them, or because they came again or too late.
    ///
    /// It is 0 without a backplane. If it grows, somebody else publishes on the hub's channels.
    #[must_use]
    pub fn ignored(&self) -> usize {
        let link = self.inner.link.as_ref();
        link.map_or(0, |link| link.ignored())
    }

    /// Leaves the other processes, once everything is published.
    ///
    /// Call it when a server ends, after the last message, and read [`Events`] to their end: then
    /// all that was published has reached the backplane or has failed. Clones of the hub are
    /// disconnected too, and stay so; it also happens when the last one is dropped. Members of this
    /// process still reach each other. Without a backplane, it does nothing.
    pub fn disconnect(&self) {
        self.inner.disconnect();
    }

    fn publish_to(
        &self,
        topic: &str,
        messages: &[PreparedMessage],
        except: Option<&Arc<Queue>>,
    ) -> Delivered {
        match self.inner.topics.get(topic) {
            Some(known) => known.publish(messages, except, self.inner.link.as_deref()),
            None => self.inner.publish_elsewhere(topic, messages, false),
        }
    }
}

impl Inner {
    /// Publishes on a topic that has no members in this process.
    fn publish_elsewhere(
        &self,
        topic: &str,
        messages: &[PreparedMessage],
        is_latest: bool,
    ) -> Delivered {
        if let Some(link) = &self.link {
            drop(link.publish(&Arc::from(topic), messages, is_latest));
        }
        Delivered::default()
    }

    fn disconnect(&self) {
        if let Some(link) = &self.link {
            link.end();
            for topic in self.topics.all() {
                topic.wake_waiting();
            }
        }
    }

    fn poll_subscribed(&self, topic: &Topic, id: u64, cx: &Context<'_>) -> Poll<()> {
        let link = self.link.as_ref();
        link.map_or(Poll::Ready(()), |link| topic.poll_subscribed(id, link, cx))
    }

    fn left(&self, topic: &Arc<Topic>, left: Left) {
        match left {
            Left::Nothing => {}
            Left::Remove => self.topics.remove(topic),
            Left::List => self.list(topic),
        }
    }

    fn list(&self, topic: &Arc<Topic>) {
        if let Some(link) = &self.link
            && let Err(topic) = link.list(Arc::clone(topic))
        {
            self.topics.abandon(&topic);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.disconnect();
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("topics", &self.topics())
            .finish_non_exhaustive()
    }
}
