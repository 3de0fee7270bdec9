//! Buffers that the connections of a thread share, so that an idle one owns none.
//!
//! - [`Block`]: streams read into it.
//! - [`Unread`]: what was read behind a message, in its block or in a copy.
//! - [`FrameBuf`]: frames that wait to be written.
//! - [`PayloadBuf`]: the payload of a large message.
//!
//! # The invariant
//!
//! **A buffer has one owner.** An idle one belongs to a thread's home. A lent one belongs to a
//! guard, which is in a poll, in a connection or in a message. The guard's `Drop` is the only way
//! back, so no buffer is forgotten, whatever returns early or panics.
//!
//! **A buffer is lent only for what fills a fair part of it.** A connection that waits with a few
//! bytes, read or buffered, holds about as much. Each file states the fraction of its kind.
//!
//! **Every thread may drop a guard.**
//!
//! - A block and a payload buffer go back to the home that they came from. The message of one
//!   thread may be used by another, and the thread that receives would run out of buffers
//!   otherwise.
//! - A frame buffer, or the copy of what is unread, goes to the home of the thread that drops it.
//!   Only a connection holds one, and it will need the next one on that thread.
//! - A thread that has never read from a stream has no home, and keeps nothing: it may be one of
//!   hundreds that only use messages or drop sockets.
//! - A home ends with its thread. What comes back later is freed, and so is what is dropped while
//!   the thread ends.
//!
//! **A home is bounded:** at most 4 blocks, 8 frame buffers and 8 copies of up to 128 KiB each, and
//! 4 MiB of payload buffers. What came back from another thread counts as well.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(crate) use self::{block::Block, unread::Unread};
use self::{block::Blocks, frames::Frames, payload::Payloads};
pub(super) use self::{frames::FrameBuf, payload::PayloadBuf};

mod block;
mod frames;
mod payload;
mod unread;

thread_local! {
    static LOCAL: RefCell<Local> = const {
        RefCell::new(Local {
            blocks: Blocks::new(),
            unread: Frames::new(),
            buffered: Frames::new(),
            home: None,
        })
    };
}

/// What a thread reaches without a lock.
struct Local {
    blocks: Blocks,
    /// Copies of what is unread.
    unread: Frames,
    /// Frames that are buffered.
    buffered: Frames,
    /// `None` until the thread reads from a stream.
    home: Option<Arc<Home>>,
}

impl Local {
    /// Returns the thread's home, which it has from then on.
    fn home(&mut self) -> &Arc<Home> {
        self.home.get_or_insert_with(|| {
            let idle = Shared::default();
            Arc::new(Home(Mutex::new(Some(idle))))
        })
    }

    fn has_home(&self) -> bool {
        self.home.is_some()
    }

    /// Tells whether `home` is the one of this thread.
    fn is_at(&self, home: &Arc<Home>) -> bool {
        self.home.as_ref().is_some_and(|own| Arc::ptr_eq(own, home))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.end();
        }
    }
}

/// What other threads reach of a thread's buffers; `None` once that thread has ended.
#[derive(Debug)]
struct Home(Mutex<Option<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    /// Blocks that other threads have sent back: not more than were kept.
    blocks: Vec<Box<[u8]>>,
    /// All idle payload buffers. They are so large that a lock is no cost.
    payloads: Payloads,
}

impl Home {
    /// Uses what is shared, unless the home has ended.
    ///
    /// Large memory is not freed in here: others would wait for it.
    fn with<R>(&self, use_shared: impl FnOnce(&mut Shared) -> R) -> Option<R> {
        self.lock().as_mut().map(use_shared)
    }

    fn end(&self) {
        let idle = self.lock().take();
        drop(idle);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Shared>> {
        // No update is left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Uses the thread's buffers; `None` while the thread ends and has none any more.
#[inline]
fn with<R>(use_local: impl FnOnce(&mut Local) -> R) -> Option<R> {
    LOCAL
        .try_with(|local| use_local(&mut local.borrow_mut()))
        .ok()
}
