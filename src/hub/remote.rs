//! What a topic knows of the hubs of other processes.

use std::{collections::HashMap, task::Waker};

use super::{
    recent::Recent,
    sequence::{Heard, Sequence},
};

/// Of how many hubs a topic remembers the last message: far more than publish on one topic, even
/// with their predecessors of the last restarts.
const MAX_NODES: usize = 1024;

/// The state of a topic whose hub has a backplane.
pub(super) struct Remote {
    /// The hub's task is going to look at the topic.
    pub(super) is_listed: bool,
    /// The hub's task looks again at the end of the grace.
    pub(super) is_leaving: bool,
    /// The connection on which the topic is subscribed.
    pub(super) subscribed: Option<u64>,
    /// How often the last member has left.
    pub(super) departures: u64,
    /// The members that wait until the topic is subscribed.
    pub(super) waiting: HashMap<u64, Waker>,
    /// The last message of each hub.
    heard: Recent<u64, Option<Sequence>>,
}

impl Remote {
    pub(super) fn new() -> Self {
        Self {
            is_listed: false,
            is_leaving: false,
            subscribed: None,
            departures: 0,
            waiting: HashMap::new(),
            heard: Recent::new(MAX_NODES),
        }
    }

    /// Asks the hub's task to look at the topic. Returns whether it does not know yet.
    pub(super) fn list(&mut self) -> bool {
        !std::mem::replace(&mut self.is_listed, true)
    }

    /// Forgets all hubs.
    pub(super) fn forget(&mut self) {
        self.heard = Recent::new(MAX_NODES);
    }

    /// Notes a message of a hub, and compares it with the last one.
    pub(super) fn hear(&mut self, node: u64, sequence: Sequence) -> Heard {
        Sequence::hear(self.heard.entry(&node, || None), sequence)
    }
}
