//! A map with a bound that forgets what was not used for long.

use std::{collections::HashMap, hash::Hash, mem};

/// A map of at most twice `max` entries. An entry is forgotten once `max` others were used after
/// it, or up to twice as many.
pub(super) struct Recent<K, V> {
    max: usize,
    current: HashMap<K, V>,
    previous: HashMap<K, V>,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            current: HashMap::new(),
            previous: HashMap::new(),
        }
    }

    /// Returns the entry of `key`, and creates it if it is new or forgotten.
    pub(super) fn entry(&mut self, key: &K, create: impl FnOnce() -> V) -> &mut V {
        if self.current.len() >= self.max && !self.current.contains_key(key) {
            self.previous = mem::take(&mut self.current);
        }
        let known = &mut self.previous;
        self.current
            .entry(key.clone())
            .or_insert_with(|| known.remove(key).unwrap_or_else(create))
    }
}
