//! The topics of a hub, by name.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, PoisonError},
};

use super::topic::Topic;
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// Into how many parts the topics are split, so that threads seldom wait for each other.
const SHARDS: usize = 64;

type Shard = HashMap<Arc<str>, Arc<Topic>>;

/// The topics of a hub.
pub(super) struct Topics {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    has_backplane: bool,
    /// How many topics have members.
    populated: Arc<AtomicUsize>,
}

impl Topics {
    pub(super) fn new(has_backplane: bool) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            has_backplane,
            populated: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Returns how many topics have members.
    pub(super) fn populated(&self) -> usize {
        self.populated.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.shard(name).get(name).cloned()
    }

    pub(super) fn get_or_create(&self, name: &str) -> Arc<Topic> {
        let mut shard = self.shard(name);
        if let Some(topic) = shard.get(name) {
            return Arc::clone(topic);
        }
        let name = Arc::from(name);
        let populated = Arc::clone(&self.populated);
        let topic = Arc::new(Topic::new(Arc::clone(&name), populated, self.has_backplane));
        shard.insert(name, Arc::clone(&topic));
        topic
    }

    /// Removes a topic, but not its successor.
    pub(super) fn remove(&self, topic: &Arc<Topic>) {
        let mut shard = self.shard(topic.name());
        let known = shard.get(topic.name());
        if known.is_none_or(|known| !Arc::ptr_eq(known, topic)) {
            return;
        }
        shard.remove(topic.name());
        // Churn leaves no memory behind, and each entry is moved once for each that was removed.
        if shard.len() < shard.capacity() / 8 {
            let len = shard.len();
            shard.shrink_to(2 * len);
        }
    }

    /// Leaves a topic to itself, because no task looks at it any more: it goes away with its last
    /// member.
    pub(super) fn abandon(&self, topic: &Arc<Topic>) {
        if topic.abandon() {
            self.remove(topic);
        }
    }

    /// Returns all topics, also those without members.
    pub(super) fn all(&self) -> Vec<Arc<Topic>> {
        let shards = self.shards.iter();
        shards
            .flat_map(|shard| {
                let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                shard.values().cloned().collect::<Vec<_>>()
            })
            .collect()
    }

    /// Nothing that runs under the lock panics.
    fn shard(&self, name: &str) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(name);
        let at = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        self.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
