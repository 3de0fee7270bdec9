//! Blocks that streams read into.

use std::{
    marker::PhantomData,
    mem,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use super::{Home, Local, with};

/// Blocks of a thread in all: one to read into, and others while connections keep theirs. Few have
/// a good part of a block unread, unless their handlers wait for something else; those that find
/// no block to spare copy what is unread.
const MAX_BLOCKS: usize = 4;

/// A thread's own blocks.
pub(super) struct Blocks {
    /// The idle one that was used last. It has a place of its own because connections that keep no
    /// block use no other one.
    last: Option<Box<[u8]>>,
    /// The other idle ones.
    others: Vec<Box<[u8]>>,
    /// Blocks that connections keep. One is counted until it is home again, wherever it goes.
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

    /// Tells whether one is left to read into if one more is kept.
    fn may_lend(&self) -> bool {
        self.kept < MAX_BLOCKS - 1
    }

    fn has_idle(&self) -> bool {
        self.last.is_some() || !self.others.is_empty()
    }
}

impl Local {
    /// Counts one more kept block, if another one of `size` bytes is there for the next read.
    ///
    /// Without one, each read would make and zero a block, which takes longer than to copy what is
    /// unread.
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

    /// Fetches the blocks that other threads have sent back.
    #[inline(never)]
    fn fetch_blocks(&mut self) {
        let returned = self.home().with(|shared| mem::take(&mut shared.blocks));
        for bytes in returned.unwrap_or_default() {
            self.blocks.put_kept(bytes);
        }
    }
}

/// A block for one read. It stays in its poll and so on its thread: it is not `Send`.
pub(crate) struct Block {
    bytes: Box<[u8]>,
    stays: PhantomData<*const ()>,
}

impl Block {
    /// Takes a block of at least `size` bytes, which is not 0. Their values are arbitrary: a block
    /// is zeroed when it is made, and not before each read.
    #[inline]
    pub(crate) fn take(size: usize) -> Self {
        let idle = with(|local| local.blocks.take()).flatten();
        let fitting = idle.filter(|idle| idle.len() >= size);
        Self {
            bytes: fitting.unwrap_or_else(|| make_first(size)),
            stays: PhantomData,
        }
    }

    /// Lends the block for longer than its poll, if the thread has another one to read into.
    pub(super) fn lend(mut self) -> Result<(Box<[u8]>, Arc<Home>), Self> {
        let Some(home) = with(|local| local.lend_block(self.len())).flatten() else {
            return Err(self);
        };
        let bytes = mem::take(&mut self.bytes);
        // It would go back.
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

/// Gives a block back that was lent, on whatever thread.
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

/// Makes a block where there is no idle one: the thread polls a stream, and has a home.
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
