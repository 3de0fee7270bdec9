//! What waits to be published by the backplane.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use super::{
    envelope::{Envelope, MAX_ENVELOPE},
    recent::Recent,
    sequence::Sequence,
};

/// How many messages wait for the backplane: a second of many busy rooms.
const MAX_MESSAGES: usize = 10_000;
/// How many bytes wait for the backplane: the longest message at least.
const MAX_BYTES: usize = MAX_ENVELOPE;
/// How many messages the backplane gets at once, so that it needs one round trip for them.
const BATCH: usize = 256;
/// How many bytes the backplane gets at once, if they are several messages.
const BATCH_BYTES: usize = 1024 * 1024;
/// On how many topics the number of the last message is remembered, at some 50 bytes each.
const MAX_TOPICS: usize = 64 * 1024;

/// The messages that wait for the backplane, in order, and the numbers of the last ones.
pub(super) struct Outbox {
    waiting: VecDeque<Outbound>,
    bytes: usize,
    /// By the hash of the topic, so that long names cost no more. Nobody can choose two topics with
    /// the same one.
    sequences: Recent<u64, Sequence>,
    hasher: RandomState,
}

/// A message for the hubs of other processes.
pub(super) struct Outbound {
    pub(super) topic: Arc<str>,
    pub(super) envelope: Envelope,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            sequences: Recent::new(MAX_TOPICS),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the position of the next message on a topic. A message that is lost uses up its
    /// number, too, so that other hubs notice.
    pub(super) fn number(&mut self, topic: &str) -> Sequence {
        let hash = self.hasher.hash_one(topic);
        self.sequences.entry(&hash, Sequence::start).next()
    }

    /// Queues a message, or returns it if there is no space.
    pub(super) fn push(&mut self, outbound: Outbound) -> Result<(), Outbound> {
        let size = outbound.envelope.size();
        if self.waiting.len() >= MAX_MESSAGES || self.bytes + size > MAX_BYTES {
            return Err(outbound);
        }
        self.bytes += size;
        self.waiting.push_back(outbound);
        Ok(())
    }

    /// Takes the next messages: as many as the backplane gets at once.
    pub(super) fn take(&mut self) -> Vec<Outbound> {
        let mut sum = 0;
        let fits = |outbound: &&Outbound| {
            sum += outbound.envelope.size();
            sum <= BATCH_BYTES
        };
        let fitting = self.waiting.iter().take(BATCH).take_while(fits).count();
        let first = usize::from(!self.waiting.is_empty());
        let batch: Vec<_> = self.waiting.drain(..fitting.max(first)).collect();
        let sizes = batch.iter().map(|outbound| outbound.envelope.size());
        self.bytes -= sizes.sum::<usize>();
        batch
    }

    /// Takes all messages.
    pub(super) fn clear(&mut self) -> VecDeque<Outbound> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}
