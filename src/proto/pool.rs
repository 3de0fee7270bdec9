//! Buffers that the connections of a thread lend each other, so that an idle one owns none.

use std::{cell::RefCell, mem};

use bytes::Bytes;

use super::copy;

/// Small buffers that a thread keeps: more than are used at once while connections take turns.
const SMALL: usize = 8;

/// What a small buffer may have grown to and still be kept: it doubles, up to what holds all that is
/// staged by default before it is written, and the message with which that is more than 64 KiB.
const MAX_SMALL: usize = 128 * 1024;

/// The shortest payload, but for one byte, that gets a large buffer.
const MIN_LARGE: usize = 64 * 1024;

/// What a large buffer may have grown to and still be kept.
const MAX_LARGE: usize = 2 * 1024 * 1024;

/// Bytes that a thread keeps in large buffers: what a few connections need that carry large messages
/// at the same time. Memory that is given back to the system is paid for by a page fault for every
/// 4 KiB when it is needed again, which takes longer than to receive what fills it.
const LARGE: usize = 4 * 1024 * 1024;

/// How many times its length the buffer of a payload may have: a user may keep it for long.
const MAX_SPARE: usize = 2;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { small: Vec::new(), large: Vec::new() }) };
}

struct Pool {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
}

/// Takes an empty buffer for frames.
pub(super) fn take() -> Vec<u8> {
    with(|pool| pool.small.pop()).flatten().unwrap_or_default()
}

/// Copies frames to a buffer of their own.
pub(crate) fn keep(frames: &[u8]) -> Vec<u8> {
    let mut buffer = take();
    // No more will be added.
    buffer.reserve_exact(frames.len());
    copy::extend(&mut buffer, frames);
    buffer
}

/// Gives a buffer for frames back.
pub(crate) fn give(mut buffer: Vec<u8>) {
    if (1..=MAX_SMALL).contains(&buffer.capacity()) {
        buffer.clear();
        with(|pool| {
            if pool.small.len() < SMALL {
                pool.small.push(buffer);
            }
        });
    }
}

/// Takes a buffer for a payload of `length` bytes, if that is large and there is one that is not much
/// larger. It has `filled` bytes at least, whatever they are.
pub(super) fn take_large(length: usize, filled: usize) -> Option<Vec<u8>> {
    if length <= MIN_LARGE {
        return None;
    }
    with(|pool| {
        let fitting = length..=length.saturating_mul(MAX_SPARE);
        let mut large = pool.large.iter();
        let index = large
            .position(|buffer| fitting.contains(&buffer.capacity()) && buffer.len() >= filled)?;
        Some(pool.large.remove(index))
    })
    .flatten()
}

/// Makes a payload of the first `length` bytes of a buffer, which comes back once the last user of the
/// payload is done.
pub(super) fn lend(mut buffer: Vec<u8>, length: usize) -> Bytes {
    if buffer.capacity() > MAX_SPARE * length {
        buffer.truncate(length);
        buffer.shrink_to_fit();
    }
    if (MIN_LARGE + 1..=MAX_LARGE).contains(&buffer.capacity()) {
        return Bytes::from_owner(Lent { buffer, length });
    }
    buffer.truncate(length);
    buffer.into()
}

/// A payload in a buffer of the pool.
struct Lent {
    buffer: Vec<u8>,
    length: usize,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = mem::take(&mut self.buffer);
        with(|pool| {
            pool.large.push(buffer);
            // The lowest are kept: allocators give memory back from the top, which one buffer holds.
            pool.large.sort_unstable_by_key(Vec::as_ptr);
            while pool.large.iter().map(Vec::capacity).sum::<usize>() > LARGE {
                pool.large.pop();
            }
        });
    }
}

/// Uses the thread's pool; while the thread ends there is none any more.
fn with<R>(use_pool: impl FnOnce(&mut Pool) -> R) -> Option<R> {
    POOL.try_with(|pool| use_pool(&mut pool.borrow_mut())).ok()
}
