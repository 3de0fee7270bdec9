//! What carries messages between the hubs of several processes.

use std::{fmt::Debug, sync::Arc};

use futures_core::future::BoxFuture;

use super::{Inbox, outbox::Outbound};
use crate::{error::BoxError, message::Bytes};

/// Carries what is published to the hubs of other processes.
///
/// [`RedisBackplane`](crate::hub#more-than-one-machine) is one. Another broker with channels needs
/// these four methods. The hub calls them from one task, on the runtime that it was created with,
/// and counts what is lost by itself. So they must not block their thread.
/// [`rt::detect`](crate::rt::detect) finds that runtime in them if it is tokio or smol, and
/// `rt::detect_network` (feature `client`) opens TCP connections on it.
///
/// This one connects hubs of one process, for tests:
///
/// ```
/// use std::{
///     collections::HashSet,
///     sync::{Arc, Mutex},
/// };
///
/// use anyws::{
///     BoxError,
///     hub::{Backplane, Event, Inbox, Publication},
/// };
/// use futures::future::{BoxFuture, FutureExt, pending, ready};
///
/// /// Who is connected, and to which topics they have subscribed.
/// type Peers = Arc<Mutex<Vec<(Inbox, Topics)>>>;
/// type Topics = Arc<Mutex<HashSet<String>>>;
///
/// #[derive(Debug, Default)]
/// struct InMemory {
///     peers: Peers,
///     topics: Topics,
/// }
///
/// impl Backplane for InMemory {
///     fn publish<'a>(&'a self, batch: &'a [Publication]) -> BoxFuture<'a, Result<(), BoxError>> {
///         for (inbox, topics) in &*self.peers.lock().unwrap() {
///             for publication in batch {
///                 if topics.lock().unwrap().contains(publication.topic()) {
///                     inbox.deliver(publication.topic(), publication.envelope().clone());
///                 }
///             }
///         }
///         ready(Ok(())).boxed()
///     }
///
///     fn subscribe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BoxError>> {
///         self.topics.lock().unwrap().insert(topic.to_owned());
///         ready(Ok(())).boxed()
///     }
///
///     fn unsubscribe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BoxError>> {
///         self.topics.lock().unwrap().remove(topic);
///         ready(Ok(())).boxed()
///     }
///
///     fn run(&self, inbox: Inbox) -> BoxFuture<'_, ()> {
///         inbox.event(Event::Up);
///         self.peers.lock().unwrap().push((inbox, self.topics.clone()));
///         pending().boxed()
///     }
/// }
/// ```
pub trait Backplane: Debug + Send + Sync + 'static {
    /// Publishes messages, in order.
    ///
    /// It is called only while the backplane is up, and the next call comes once the future is
    /// ready. If it takes long, messages wait in the hub's queue, and those that find it full are
    /// lost with [`Event::PublishFailed`](super::Event::PublishFailed). So give up after some
    /// seconds, and when the connection is lost. A batch has 256 messages at most, and 1 MiB at
    /// most if it has several.
    ///
    /// # Errors
    ///
    /// If any message of the batch may be lost. The hub reports all of them.
    fn publish<'a>(&'a self, batch: &'a [Publication]) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Subscribes to a topic: what others publish on it is passed to [`Inbox::deliver`].
    ///
    /// It is called only while the backplane is up, for up to 256 topics at once. After each
    /// [`Event::Up`](super::Event::Up), the hub subscribes to all its topics again. Messages that
    /// are published meanwhile wait for it, so give up after some seconds, also if the connection
    /// is lost.
    ///
    /// # Errors
    ///
    /// If messages on the topic will not arrive. The hub reports it, unless the backplane is down.
    fn subscribe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Ends a subscription. It is called 10 to 20 seconds after the last member has left the
    /// topic.
    ///
    /// # Errors
    ///
    /// Are ignored: messages on topics without members do no harm.
    fn unsubscribe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Connects and delivers, until the future is dropped.
    ///
    /// It says [`Event::Up`](super::Event::Up) whenever it has connected, before it delivers, and
    /// [`Event::Down`](super::Event::Down) whenever it has lost the connection or could not
    /// connect. The user gets each of them, so it says `Down` again only if the reason has changed.
    /// It reconnects by itself. The hub's messages wait until it has said one of them.
    ///
    /// If the future ends, or if any method panics, the hub is down for good.
    fn run(&self, inbox: Inbox) -> BoxFuture<'_, ()>;
}

/// A message that a [`Backplane`] publishes for its hub.
#[derive(Clone, Debug)]
pub struct Publication {
    topic: Arc<str>,
    envelope: Bytes,
}

impl Publication {
    pub(super) fn new(outbound: &Outbound) -> Self {
        Self {
            topic: Arc::clone(&outbound.topic),
            envelope: outbound.envelope.encode(),
        }
    }

    /// Returns the topic, of 4 KiB at most.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Returns the bytes to pass to [`Inbox::deliver`] of all hubs that have subscribed to the
    /// topic: a header of 32 bytes, and the payload.
    #[must_use]
    pub fn envelope(&self) -> &Bytes {
        &self.envelope
    }

    pub(super) fn shared_topic(&self) -> &Arc<str> {
        &self.topic
    }
}
