//! The answers to pings: those that are buffered, and the latest one if a peer does not read them
//! (RFC 6455, section 5.5.3).

use bytes::Bytes;

use crate::proto::frame::{Header, MAX_CONTROL};

/// The size of one of two batches of pongs, in bytes. Both together hold the answers to some
/// hundred small pings, which leave in one write. For a peer that does not read, they hold no more
/// than a page.
const BATCH: usize = 2 * 1024;

/// The largest pong.
const MAX_PONG: usize = Header::MAX_LEN + MAX_CONTROL;

/// The state of the pings that have arrived. It is boxed: most connections have no unanswered ping
/// most of the time, and each of them would need space for it.
#[derive(Debug, Default)]
pub(super) struct Pongs(Option<Box<State>>);

#[derive(Debug, Default)]
struct State {
    /// There are two batches, so that there is space again while some pongs are still buffered.
    older: Batch,
    newer: Batch,
    unanswered: Option<Unanswered>,
    /// The task has yielded since the space ran out, in case its runtime held up the write.
    has_yielded: bool,
}

/// Pings whose answers have no space.
#[derive(Debug)]
struct Unanswered {
    /// The payload of the latest ping. Only that one is answered.
    latest: Bytes,
    /// The bytes of all these pings; an empty one counts as 1.
    bytes: usize,
}

/// Pongs that are buffered.
#[derive(Debug, Default)]
struct Batch {
    len: usize,
    /// The number of buffered bytes up to the end of the last pong, including those of the user.
    end: usize,
}

impl Batch {
    fn has_room(&self) -> bool {
        self.len + MAX_PONG <= BATCH
    }

    fn advance(&mut self, written: usize) {
        self.end = self.end.saturating_sub(written);
        self.len = self.len.min(self.end);
    }
}

impl State {
    fn add(&mut self, length: usize, end: usize) {
        let is_first = self.newer.len == 0 && self.older.has_room();
        let batch = if is_first {
            &mut self.older
        } else {
            &mut self.newer
        };
        batch.len += length;
        batch.end = end;
    }

    /// Returns whether anything is left.
    fn advance(&mut self, written: usize) -> bool {
        self.older.advance(written);
        self.newer.advance(written);
        if self.older.end == 0 {
            self.older = std::mem::take(&mut self.newer);
        }
        self.has_yielded &= !self.newer.has_room();
        self.older.end > 0 || self.unanswered.is_some()
    }
}

impl Pongs {
    /// Returns whether one more pong may be buffered.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.0.as_ref().is_none_or(|state| state.newer.has_room())
    }

    /// Returns how many bytes of the buffered batches are pongs. Those of a batch count until all
    /// of it is written.
    #[inline]
    pub(super) fn len(&self) -> usize {
        let len = |state: &State| state.older.len + state.newer.len;
        self.0.as_deref().map_or(0, len)
    }

    /// Returns how many bytes of pings have arrived since a pong has been waiting for space.
    #[inline]
    pub(super) fn unanswered(&self) -> usize {
        let state = self.0.as_ref();
        let unanswered = state.and_then(|state| state.unanswered.as_ref());
        unanswered.map_or(0, |pings| pings.bytes)
    }

    /// Adds a pong of `length` bytes, which was buffered as the last of `end` bytes.
    pub(super) fn add(&mut self, length: usize, end: usize) {
        self.0.get_or_insert_default().add(length, end);
    }

    /// Keeps the answer to the latest ping. It replaces an earlier one that was waiting.
    pub(super) fn wait(&mut self, latest: Bytes) {
        let bytes = self.unanswered() + latest.len().max(1);
        let state = self.0.get_or_insert_default();
        state.unanswered = Some(Unanswered { latest, bytes });
    }

    /// Returns the waiting answer, to be buffered or dropped.
    pub(super) fn take_waiting(&mut self) -> Option<Bytes> {
        let unanswered = self.0.as_mut()?.unanswered.take();
        unanswered.map(|pings| pings.latest)
    }

    /// Returns whether the task has to yield, once, before the peer counts as one that does not
    /// read.
    pub(super) fn yields(&mut self) -> bool {
        let has_yielded = |state: &mut Box<State>| std::mem::replace(&mut state.has_yielded, true);
        !self.has_room() && !self.0.as_mut().is_some_and(has_yielded)
    }

    /// Removes the pongs among the first `written` bytes, which were written.
    #[inline]
    pub(super) fn advance(&mut self, written: usize) {
        if let Some(state) = &mut self.0
            && !state.advance(written)
        {
            self.0 = None;
        }
    }
}
