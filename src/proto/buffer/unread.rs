//! What was read behind a message, until it is decoded.

use std::{mem, sync::Arc};

use super::{super::copy, Home, block, block::Block, frames::ALWAYS_LENT, with};

/// A connection keeps its block if at least this part of it is unread. Of less it keeps a copy,
/// which is soon made and leaves the block to others.
const KEEP_FRACTION: usize = 8;

/// A copy is in a buffer of at most this many times its bytes: no more will be added.
const MAX_COPY_RATIO: usize = 8;

/// Bytes that a connection has read and not decoded yet, in the block that they were read into or
/// in a copy; without memory while there are none.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    bytes: Vec<u8>,
    start: u32,
    end: u32,
    /// The home of the block; `None` if it is a copy.
    home: Option<Arc<Home>>,
}

impl Unread {
    /// Keeps the bytes of a block from `start` to `end`, of which there is at least one.
    #[inline]
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

    /// Removes all bytes, and gives the memory back.
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

/// Bytes that are in memory of their own.
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

/// Copies bytes to an idle buffer of the thread, or else to one that is no larger than they are.
fn copy_of(bytes: &[u8]) -> Vec<u8> {
    let needed = bytes.len();
    let lent = needed..=ALWAYS_LENT.max(MAX_COPY_RATIO * needed);
    let idle = with(|local| local.unread.take(&lent)).flatten();
    let mut buffer = idle.unwrap_or_else(|| Vec::with_capacity(needed));
    copy::extend(&mut buffer, bytes);
    buffer
}

/// An offset in a block, which has 1 MiB at most, or in what came with a head, which is less.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
