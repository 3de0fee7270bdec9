//! Buffers for frames that are not yet written, and the pool of idle buffers that grow.

use std::{
    mem,
    ops::{Deref, DerefMut, RangeInclusive},
};

use super::{super::copy, with};

/// How many idle buffers of a kind a thread keeps: more than its connections use at once while they
/// take turns.
const MAX_IDLE_BUFFERS: usize = 8;

/// The largest capacity at which a buffer is kept. A buffer doubles until it holds everything that
/// is buffered by default before it is written, and the message that exceeds those 64 KiB.
const MAX_CAPACITY: usize = 128 * 1024;

/// A buffer of at most this capacity is lent for any size. A waiting connection uses about as much
/// memory without it.
pub(super) const ALWAYS_LENT: usize = 1024;

/// A larger buffer has at most this many times the bytes that need it. The first of 16 equal frames
/// then gets a buffer that holds all of them, if an earlier burst has left one.
const MAX_FRAMES_RATIO: usize = 16;

/// Idle buffers of one kind.
pub(super) struct Frames {
    /// The buffer that was used last, or one without memory. It has its own slot because
    /// connections that take turns use no other.
    last: Vec<u8>,
    /// The other buffers, in the order in which they were used.
    others: Vec<Vec<u8>>,
}

impl Frames {
    pub(super) const fn new() -> Self {
        Self {
            last: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Takes the buffer that was used last, if its capacity is in the range.
    #[inline]
    fn take_last(&mut self, capacities: &RangeInclusive<usize>) -> Option<Vec<u8>> {
        capacities
            .contains(&self.last.capacity())
            .then(|| mem::take(&mut self.last))
    }

    /// Takes the most recently used buffer whose capacity is in the range.
    #[inline]
    pub(super) fn take(&mut self, capacities: &RangeInclusive<usize>) -> Option<Vec<u8>> {
        self.take_last(capacities)
            .or_else(|| self.take_other(capacities))
    }

    #[cold]
    fn take_other(&mut self, capacities: &RangeInclusive<usize>) -> Option<Vec<u8>> {
        let mut others = self.others.iter();
        let at = others.rposition(|buffer| capacities.contains(&buffer.capacity()))?;
        Some(self.others.remove(at))
    }

    /// Keeps a buffer, emptied, unless it is too large.
    #[inline]
    pub(super) fn put(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() > MAX_CAPACITY {
            return;
        }
        if self.last.capacity() == 0 {
            self.last = buffer;
        } else {
            self.put_behind(buffer);
        }
    }

    /// Keeps a buffer with the others, and frees the one that has been unused for the longest time.
    #[cold]
    fn put_behind(&mut self, buffer: Vec<u8>) {
        self.others.push(mem::replace(&mut self.last, buffer));
        if self.others.len() == MAX_IDLE_BUFFERS {
            self.others.remove(0);
        }
    }
}

/// A buffer for frames that are not yet written. It has no memory while it is empty.
///
/// Call [`reserve`](Self::reserve) before adding bytes: it takes buffers from the pool, while `Vec`
/// would allocate.
#[derive(Debug, Default)]
pub(in crate::proto) struct FrameBuf(Vec<u8>);

impl FrameBuf {
    /// Returns how many bytes can be added before the next [`reserve`](Self::reserve).
    #[inline]
    pub(in crate::proto) fn spare(&self) -> usize {
        self.0.capacity() - self.0.len()
    }

    /// Makes space for more bytes.
    pub(in crate::proto) fn reserve(&mut self, additional: usize) {
        if self.spare() >= additional {
            return;
        }
        let lent = additional..=max_lent(additional);
        if self.0.capacity() == 0
            && let Some(Some(last)) = with(|local| local.buffered.take_last(&lent))
        {
            self.0 = last;
        } else {
            self.grow(additional);
        }
    }

    /// Moves the frames to a buffer that is at least twice as large, so each byte is moved once on
    /// average. The thread keeps the old buffer for shorter bursts.
    #[cold]
    fn grow(&mut self, additional: usize) {
        let needed = self.0.len() + additional;
        let mut least = needed.max(2 * self.0.capacity());
        if needed <= MAX_CAPACITY && least > MAX_CAPACITY / 2 {
            // The last step ends at the largest buffer that is kept: a larger one would be
            // allocated each time.
            least = MAX_CAPACITY;
        }
        let larger = take(least..=max_lent(needed), least);
        self.move_to(larger, 0);
    }

    /// Removes the first `length` bytes. If the others fill too little of this buffer, they move to
    /// a smaller one.
    pub(in crate::proto) fn remove_front(&mut self, length: usize) {
        let left = self.0.len() - length;
        if left == 0 {
            self.release();
        } else if self.is_oversized_behind(length) {
            let smaller = take(left..=max_lent(left), left);
            self.move_to(smaller, length);
        } else {
            self.0.drain(..length);
        }
    }

    fn move_to(&mut self, mut other: Vec<u8>, from: usize) {
        copy::extend(&mut other, &self.0[from..]);
        self.release();
        self.0 = other;
    }

    /// Returns whether the frames after the first `length` bytes fill too little of the buffer.
    pub(in crate::proto) fn is_oversized_behind(&self, length: usize) -> bool {
        self.0.capacity() > max_lent(self.0.len() - length)
    }

    /// Removes all frames and releases the memory.
    #[inline]
    pub(in crate::proto) fn release(&mut self) {
        let buffer = mem::take(&mut self.0);
        if buffer.capacity() > 0 {
            with(|local| {
                if local.has_home() {
                    local.buffered.put(buffer);
                }
            });
        }
    }
}

impl Deref for FrameBuf {
    type Target = Vec<u8>;

    #[inline]
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for FrameBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for FrameBuf {
    fn drop(&mut self) {
        self.release();
    }
}

/// Takes an idle buffer of the thread, or allocates one.
fn take(capacities: RangeInclusive<usize>, made: usize) -> Vec<u8> {
    let idle = with(|local| local.buffered.take(&capacities));
    idle.flatten().unwrap_or_else(|| Vec::with_capacity(made))
}

/// Returns the largest capacity of a buffer that is lent for `needed` bytes.
#[inline]
fn max_lent(needed: usize) -> usize {
    ALWAYS_LENT.max(MAX_FRAMES_RATIO * needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the capacities of all buffers, by taking one after the other.
    fn capacities(frames: &mut Frames) -> Vec<usize> {
        let taken = std::iter::from_fn(|| frames.take(&(1..=usize::MAX)));
        taken.map(|buffer| buffer.capacity()).collect()
    }

    #[test]
    fn the_buffer_that_was_used_last_is_taken_first_and_the_oldest_one_is_freed() {
        let mut frames = Frames::new();
        (101..=110).for_each(|capacity| frames.put(Vec::with_capacity(capacity)));
        assert_eq!(
            capacities(&mut frames),
            [110, 109, 108, 107, 106, 105, 104, 103]
        );
    }

    #[test]
    fn the_one_that_fits_is_taken_out_of_the_others() {
        let mut frames = Frames::new();
        for capacity in [100, 500, 200, 900] {
            frames.put(Vec::with_capacity(capacity));
        }
        let taken = frames.take(&(150..=600)).unwrap();
        assert_eq!(taken.capacity(), 200);
        assert!(frames.take(&(901..=1000)).is_none());
        frames.put(taken);
        assert_eq!(capacities(&mut frames), [200, 900, 500, 100]);
    }
}
