//! What a backplane tells its hub.

use std::sync::{Arc, Weak};

use super::{arrivals::Arrival, envelope::Envelope, event::Event, link::Link, topics::Topics};
use crate::message::Bytes;

/// The side of a hub to which its [`Backplane`](super::Backplane) delivers.
///
/// Nothing here waits, so a slow member cannot hold up the backplane. Clones lead to the same hub,
/// and do not keep it alive.
#[derive(Clone, Debug)]
pub struct Inbox {
    topics: Weak<Topics>,
    link: Arc<Link>,
}

impl Inbox {
    pub(super) fn new(topics: Weak<Topics>, link: Arc<Link>) -> Self {
        Self { topics, link }
    }

    /// Queues what was published on `topic` for its members in this process.
    ///
    /// The first 64 messages are queued at once. Up to 10,000 more, or 16 MiB, wait until the hub's
    /// task has its next turn, so that the sockets can write those before them. Beyond that, they
    /// are queued at once.
    ///
    /// The `envelope` is that of a [`Publication`](super::Publication). Deliver the messages of one
    /// hub on a topic in the order in which it has published them. The hub reports a message that
    /// another one overtakes as a [`Event::Gap`], and ignores it when it comes.
    ///
    /// The hub ignores its own messages, and those on topics without members. Bytes that no hub of
    /// this version has sent are ignored and counted ([`Hub::ignored`](super::Hub::ignored)), and
    /// so is a message that comes again or too late.
    pub fn deliver(&self, topic: &str, envelope: Bytes) {
        let Ok(envelope) = Envelope::decode(envelope) else {
            return self.link.ignore();
        };
        if self.link.is_own(&envelope) {
            return;
        }
        let topics = self.topics.upgrade();
        let Some(topic) = topics.and_then(|topics| topics.get(topic)) else {
            return;
        };
        self.link.arrive(Arrival { topic, envelope });
    }

    /// Tells the hub that the backplane has connected or lost its connection.
    ///
    /// [`Event::Up`] and [`Event::Down`] change what the hub does: see
    /// [`Backplane::run`](super::Backplane::run). The hub passes [`Event::Up`] on to the user once
    /// it has subscribed to its topics, and all others at once.
    pub fn event(&self, event: Event) {
        match event {
            Event::Up => self.link.connected(),
            Event::Down(reason) => self.link.disconnected(reason),
            other => self.link.events.push(other),
        }
    }
}
