//! Buffers that the connections of a thread share, so that an idle one owns none.
//!
//! - [`Block`]: a block that streams read into.
//! - [`Unread`]: the bytes that were read after a message, in their block or in a copy.
//! - [`FrameBuf`]: the frames that are not yet written.
//! - [`PayloadBuf`]: the payload of a large message.
//!
//! # The invariant
//!
//! **A buffer has one owner.** An idle buffer belongs to a thread's home. A lent buffer belongs to
//! a guard, which is in a poll, in a connection or in a message. Only the guard's `Drop` gives the
//! buffer back, so no buffer is lost after an early return or a panic.
//!
//! **A buffer is lent only if a fair part of it is filled.** A connection that waits with a few
//! bytes, read or buffered, therefore holds about that much memory. Each file states the fraction
//! for its kind.
//!
//! **Any thread may drop a guard.**
//!
//! - A block or a payload buffer returns to the home that it came from. Another thread may use the
//!   message, and otherwise the thread that receives would run out of buffers.
//! - A frame buffer, or a copy of unread bytes, goes to the home of the thread that drops it. Only
//!   a connection holds one, and it will need the next one on that thread.
//! - A thread that has never read from a stream has no home and keeps nothing. It may be one of
//!   hundreds that only use messages or drop sockets.
//! - A home ends with its thread. Buffers that return later are freed, and so are those that are
//!   dropped while the thread ends.
//!
//! **A home is bounded:** at most 4 blocks, 8 frame buffers and 8 copies of up to 128 KiB each, and
//! 4 MiB of payload buffers. Buffers that returned from another thread count too.

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

/// The buffers that a thread reaches without a lock.
struct Local {
    blocks: Blocks,
    /// Copies of unread bytes.
    unread: Frames,
    /// Buffered frames.
    buffered: Frames,
    /// `None` until the thread reads from a stream.
    home: Option<Arc<Home>>,
}

impl Local {
    /// Returns the thread's home, and creates it if there is none.
    fn home(&mut self) -> &Arc<Home> {
        self.home.get_or_insert_with(|| {
            let idle = Shared::default();
            Arc::new(Home(Mutex::new(Some(idle))))
        })
    }

    fn has_home(&self) -> bool {
        self.home.is_some()
    }

    /// Returns whether `home` is the one of this thread.
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

/// The buffers of a thread that other threads reach. `None` once that thread has ended.
#[derive(Debug)]
struct Home(Mutex<Option<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    /// Blocks that other threads have sent back: no more than were kept.
    blocks: Vec<Box<[u8]>>,
    /// All idle payload buffers. They are so large that a lock costs nothing in comparison.
    payloads: Payloads,
}

impl Home {
    /// Calls `use_shared` with the shared buffers, unless the home has ended.
    ///
    /// Do not free large memory inside: others would wait for it.
    fn with<R>(&self, use_shared: impl FnOnce(&mut Shared) -> R) -> Option<R> {
        self.lock().as_mut().map(use_shared)
    }

    fn end(&self) {
        let idle = self.lock().take();
        drop(idle);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Shared>> {
        // No update can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `use_local` with the thread's buffers. Returns `None` if the thread is ending and has none
/// any more.
#[inline]
fn with<R>(use_local: impl FnOnce(&mut Local) -> R) -> Option<R> {
    LOCAL
        .try_with(|local| use_local(&mut local.borrow_mut()))
        .ok()
}
