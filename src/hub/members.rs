//! The members of a topic, in the order in which they joined.

use std::sync::Arc;

use crate::life::Queue;

/// The members of a topic.
#[derive(Default)]
pub(super) struct Members {
    /// Sorted by the id, because ids only grow. Members that have left keep their entry for a
    /// while, so that leaving does not move all others.
    entries: Vec<(u64, Option<Arc<Queue>>)>,
    present: usize,
    next: u64,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.present
    }

    pub(super) fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// Adds a member, and returns its id.
    pub(super) fn add(&mut self, queue: Arc<Queue>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.present += 1;
        self.entries.push((id, Some(queue)));
        id
    }

    /// Removes a member. Returns its queue, which the caller drops after its lock.
    pub(super) fn remove(&mut self, id: u64) -> Option<Arc<Queue>> {
        let at = self.entries.binary_search_by_key(&id, |entry| entry.0);
        let queue = self.entries[at.ok()?].1.take()?;
        self.present -= 1;
        // So each entry is moved once for each that was removed, on average.
        if self.present < self.entries.len() / 2 {
            self.entries.retain(|(_, queue)| queue.is_some());
            self.entries.shrink_to(2 * self.present);
        }
        Some(queue)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Queue>> {
        self.entries.iter().filter_map(|(_, queue)| queue.as_ref())
    }
}
