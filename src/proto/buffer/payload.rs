//! Buffers for the payloads of large binary messages.

use std::{
    mem,
    ops::{Deref, DerefMut, RangeInclusive},
    sync::Arc,
};

use bytes::Bytes;

use super::{super::copy, Home, with};

/// The capacities of the buffers that are kept. Shorter payloads are cheap to allocate, and one
/// longer buffer would be most of what a thread keeps.
const CAPACITIES: RangeInclusive<usize> = 64 * 1024 + 1..=2 * 1024 * 1024;

/// How many bytes of idle buffers a thread keeps: enough for a few connections that carry large
/// messages at the same time. Memory that was returned to the system costs a page fault for every 4
/// KiB when it is needed again. That takes longer than receiving the bytes that fill it.
const MAX_IDLE_BYTES: usize = 4 * 1024 * 1024;

/// A payload's buffer has at most this many times its length: a user may keep it for a long time.
const MAX_SPARE: usize = 2;

/// A buffer is lent once at least this part of it is filled, so that a peer cannot hold large
/// buffers by announcing payloads. The decoder takes 16 KiB at once; for that much, 1 MiB is lent.
const LENT_FRACTION: usize = 64;

/// Idle buffers, sorted by address.
#[derive(Debug, Default)]
pub(super) struct Payloads(Vec<Vec<u8>>);

impl Payloads {
    fn take(&mut self, length: usize, filled: usize, needed: usize) -> Option<Vec<u8>> {
        let fitting = length..=length.saturating_mul(MAX_SPARE);
        let index = self.0.iter().position(|buffer| {
            fitting.contains(&buffer.capacity())
                && buffer.capacity() / LENT_FRACTION <= needed
                && buffer.len() >= filled
        })?;
        Some(self.0.remove(index))
    }

    /// Adds a buffer to the others, and returns those that exceed the limit.
    ///
    /// It keeps the lowest buffers: allocators return memory from the top, and one buffer there
    /// blocks that.
    fn put(&mut self, buffer: Vec<u8>) -> Vec<Vec<u8>> {
        let at = self.0.partition_point(|it| it.as_ptr() < buffer.as_ptr());
        self.0.insert(at, buffer);
        let mut idle = 0;
        let fits = self.0.iter().take_while(|buffer| {
            idle += buffer.capacity();
            idle <= MAX_IDLE_BYTES
        });
        let fits = fits.count();
        self.0.split_off(fits)
    }
}

/// A buffer that becomes the payload of a message. If it has a home, it returns there.
#[derive(Debug, Default)]
pub(in crate::proto) struct PayloadBuf {
    bytes: Vec<u8>,
    home: Option<Arc<Home>>,
}

impl PayloadBuf {
    /// Takes an idle buffer of the thread with room for `length` bytes and at most twice that.
    /// Returns `None` if none fits.
    ///
    /// Its first `filled` bytes have arbitrary values; replace them with those that have arrived.
    /// `needed` counts these bytes and the next ones.
    pub(in crate::proto) fn take(length: usize, filled: usize, needed: usize) -> Option<Self> {
        if length < *CAPACITIES.start() {
            return None;
        }
        let home = with(|local| local.home.clone()).flatten()?;
        let taken = home.with(|shared| shared.payloads.take(length, filled, needed));
        let bytes = taken.flatten()?;
        Some(Self {
            bytes,
            home: Some(home),
        })
    }

    /// Makes space for exactly `room` bytes in all.
    pub(in crate::proto) fn grow(&mut self, room: usize) {
        self.bytes
            .reserve_exact(room.saturating_sub(self.bytes.len()));
    }

    /// Turns the first `length` bytes into a payload. The buffer returns home once the last user of
    /// the payload has dropped it.
    pub(in crate::proto) fn into_bytes(mut self, length: usize) -> Bytes {
        if self.capacity() > MAX_SPARE * length {
            return copy::to_vec(&self[..length]).into();
        }
        if CAPACITIES.contains(&self.capacity()) {
            if self.home.is_none() {
                self.home = with(|local| local.home.clone()).flatten();
            }
            return Bytes::from_owner(Payload {
                buffer: self,
                length,
            });
        }
        self.truncate(length);
        mem::take(&mut self.bytes).into()
    }
}

impl Deref for PayloadBuf {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for PayloadBuf {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for PayloadBuf {
    fn drop(&mut self) {
        let home = self.home.take();
        if let Some(home) = home.filter(|_| CAPACITIES.contains(&self.bytes.capacity())) {
            let buffer = mem::take(&mut self.bytes);
            let surplus = home.with(|shared| shared.payloads.put(buffer));
            // Freed here, where nobody waits for the lock.
            drop(surplus);
        }
    }
}

/// A payload in a buffer that may be longer.
struct Payload {
    buffer: PayloadBuf,
    length: usize,
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffers_at_the_lowest_addresses_are_kept() {
        let buffers: Vec<_> = (0..6).map(|_| vec![0; 1024 * 1024]).collect();
        let mut addresses: Vec<_> = buffers.iter().map(Vec::as_ptr).collect();
        addresses.sort_unstable();
        let mut payloads = Payloads::default();
        let surplus: Vec<_> = buffers
            .into_iter()
            .flat_map(|it| payloads.put(it))
            .collect();
        assert_eq!(surplus.len(), 2);
        let kept: Vec<_> = payloads.0.iter().map(Vec::as_ptr).collect();
        assert_eq!(kept, addresses[..4]);
    }
}
