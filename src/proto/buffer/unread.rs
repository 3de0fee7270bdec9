//! The bytes that were read after a message, until they are decoded.

use std::{mem, sync::Arc};

use super::{super::copy, Home, block, block::Block, frames::ALWAYS_LENT, with};

/// A connection keeps its block if at least this part of it is unread. Fewer bytes are copied,
/// which is quick and frees the block for others.
const KEEP_FRACTION: usize = 8;

/// A copy's buffer has at most this many times the bytes of the copy: no more will be added.
const MAX_COPY_RATIO: usize = 8;

/// Bytes that a connection has read but not yet decoded: in the block that they were read into, or
/// in a copy. It has no memory while it is empty.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    bytes: Vec<u8>,
    start: u32,
    end: u32,
    /// The home of the block; `None` for a copy.
    home: Option<Arc<Home>>,
}

impl Unread {
    /// Keeps the bytes of a block from `start` to `end`, at least one.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a call costs 0.2 % of a small message"
    )]
    pub(crate) fn keep(block: Block, start: usize, end: usize) -> Self {
        let is_much = end - start >= block.len() / KEEP_FRACTION;
        match if is_much { block.lend() } else { Err(block) } {
            Ok((bytes, home)) => Self {
                bytes: bytes.into(),
                start: offset(start),
                end: offset(end),
                home: Some(home),
            },
            Err(block) => copy_of(&block[start..end]).into(),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start as usize..self.end as usize]
    }

    /// Removes the first `length` bytes.
    #[inline]
    pub(crate) fn advance(&mut self, length: usize) {
        self.start += offset(length);
        if self.is_empty() {
            self.clear();
        }
    }

    /// Removes all bytes and releases the memory.
    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
        let bytes = mem::take(&mut self.bytes);
        match self.home.take() {
            Some(home) => block::send_home(bytes.into(), &home),
            None if bytes.capacity() > 0 => {
                with(|local| {
                    if local.has_home() {
                        local.unread.put(bytes);
                    }
                });
            }
            None => {}
        }
    }
}

/// Bytes with their own memory.
impl From<Vec<u8>> for Unread {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        Self {
            start: 0,
            end: offset(bytes.len()),
            bytes,
            home: None,
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Copies bytes to an idle buffer of the thread, or to a new one of exactly their length.
fn copy_of(bytes: &[u8]) -> Vec<u8> {
    let needed = bytes.len();
    let lent = needed..=ALWAYS_LENT.max(MAX_COPY_RATIO * needed);
    let idle = with(|local| local.unread.take(&lent)).flatten();
    let mut buffer = idle.unwrap_or_else(|| Vec::with_capacity(needed));
    copy::extend(&mut buffer, bytes);
    buffer
}

/// Converts an offset in a block, which has at most 1 MiB, or in what arrived with a head, which
/// has less.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
