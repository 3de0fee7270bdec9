//! Blocks that streams read into.

use std::{
    marker::PhantomData,
    mem,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use super::{Home, Local, with};

/// How many blocks a thread has: one to read into, and others while connections keep theirs. Few
/// connections have a large part of a block unread, unless their handlers wait for something else.
/// If no block is free, a connection copies its unread bytes.
const MAX_BLOCKS: usize = 4;

/// The blocks of a thread.
pub(super) struct Blocks {
    /// The idle block that was used last. It has its own slot because connections that keep no
    /// block use no other.
    last: Option<Box<[u8]>>,
    /// The other idle blocks.
    others: Vec<Box<[u8]>>,
    /// How many blocks connections keep. A block counts until it is back home, wherever it goes.
    kept: usize,
}

impl Blocks {
    pub(super) const fn new() -> Self {
        Self {
            last: None,
            others: Vec::new(),
            kept: 0,
        }
    }

    #[inline]
    fn take(&mut self) -> Option<Box<[u8]>> {
        self.last.take().or_else(|| self.others.pop())
    }

    #[inline]
    fn put(&mut self, block: Box<[u8]>) {
        if self.last.is_none() {
            self.last = Some(block);
        } else {
            self.put_other(block);
        }
    }

    #[cold]
    fn put_other(&mut self, block: Box<[u8]>) {
        let in_all = 1 + self.others.len() + self.kept;
        if in_all < MAX_BLOCKS {
            self.others.push(block);
        }
    }

    fn put_kept(&mut self, bytes: Box<[u8]>) {
        self.kept -= 1;
        self.put(bytes);
    }

    /// Returns whether a block is left to read into if one more is kept.
    fn may_lend(&self) -> bool {
        self.kept < MAX_BLOCKS - 1
    }

    fn has_idle(&self) -> bool {
        self.last.is_some() || !self.others.is_empty()
    }
}

impl Local {
    /// Counts one more kept block, if another block of `size` bytes is available for the next read.
    ///
    /// Without one, each read would allocate and zero a block, which takes longer than copying the
    /// unread bytes.
    fn lend_block(&mut self, size: usize) -> Option<Arc<Home>> {
        if !self.blocks.may_lend() || !self.blocks.has_idle() {
            self.fetch_blocks();
        }
        if !self.blocks.may_lend() {
            return None;
        }
        if !self.blocks.has_idle() {
            self.blocks.put(make(size));
        }
        self.blocks.kept += 1;
        Some(Arc::clone(self.home()))
    }

    /// Collects the blocks that other threads have sent back.
    #[inline(never)]
    fn fetch_blocks(&mut self) {
        let returned = self.home().with(|shared| mem::take(&mut shared.blocks));
        for bytes in returned.unwrap_or_default() {
            self.blocks.put_kept(bytes);
        }
    }
}

/// A block for one read. It stays within its poll, and therefore on its thread: it is not `Send`.
pub(crate) struct Block {
    bytes: Box<[u8]>,
    stays: PhantomData<*const ()>,
}

impl Block {
    /// Takes a block of at least `size` bytes; `size` must not be 0. The bytes have arbitrary
    /// values: a block is zeroed when it is allocated, not before each read.
    #[inline]
    pub(crate) fn take(size: usize) -> Self {
        let idle = with(|local| local.blocks.take()).flatten();
        let fitting = idle.filter(|idle| idle.len() >= size);
        Self {
            bytes: fitting.unwrap_or_else(|| make_first(size)),
            stays: PhantomData,
        }
    }

    /// Lends the block beyond its poll, if the thread has another one to read into.
    pub(super) fn lend(mut self) -> Result<(Box<[u8]>, Arc<Home>), Self> {
        let Some(home) = with(|local| local.lend_block(self.len())).flatten() else {
            return Err(self);
        };
        let bytes = mem::take(&mut self.bytes);
        // Its destructor would send the block back.
        mem::forget(self);
        Ok((bytes, home))
    }
}

impl Deref for Block {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Block {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        with(|local| local.blocks.put(bytes));
    }
}

/// Returns a lent block to its home, from any thread.
pub(super) fn send_home(bytes: Box<[u8]>, home: &Arc<Home>) {
    let mut bytes = Some(bytes);
    with(|local| {
        if local.is_at(home)
            && let Some(bytes) = bytes.take()
        {
            local.blocks.put_kept(bytes);
        }
    });
    if bytes.is_some() {
        home.with(|shared| shared.blocks.extend(bytes.take()));
    }
}

/// Allocates a block if there is no idle one. The thread polls a stream, so it now has a home.
#[cold]
fn make_first(size: usize) -> Box<[u8]> {
    with(|local| {
        local.home();
    });
    make(size)
}

#[cold]
fn make(size: usize) -> Box<[u8]> {
    vec![0; size].into()
}
