//! Turns: how long a connection may run before other tasks of the thread get theirs.

use std::{
    io,
    task::{Context, Poll},
};

/// The frames of one turn: 256 frames, or 2 MiB of them. That takes about half a millisecond, and
/// yielding costs less than a thousandth of it.
const TURN: u32 = 256;

/// How many bytes cost as much as a frame.
const BYTES: usize = 8 * 1024;

/// The work done since the connection last waited.
///
/// It counts across polls that were ready. Otherwise a handler that loops on `next` would never
/// yield if the runtime has no budget of its own, as smol has none.
#[derive(Debug, Default)]
pub(super) struct Budget(u32);

impl Budget {
    /// Is pending once the turn is over, and wakes the task for the next one.
    #[inline]
    pub(super) fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_over() {
            return Poll::Ready(());
        }
        self.begin();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Returns whether the task has to yield before it continues.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.0 >= TURN
    }

    /// Starts a new turn, whatever was done before.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.0 = 0;
    }

    /// Counts a read or a write, with its bytes. A pending one ends the turn, so that the next turn
    /// is a full one.
    #[inline]
    pub(super) fn count(&mut self, moved: &Poll<io::Result<usize>>) {
        match moved {
            Poll::Pending => self.begin(),
            Poll::Ready(length) => {
                let frames = 1 + length.as_ref().unwrap_or(&0) / BYTES;
                self.spend(u32::try_from(frames).unwrap_or(TURN));
            }
        }
    }

    /// Counts frames, or other work that costs as much.
    ///
    /// It cannot overflow: the frames of one message or of one read are added to a turn that is not
    /// over.
    #[inline]
    pub(super) fn spend(&mut self, frames: u32) {
        self.0 = self.0.wrapping_add(frames);
    }
}
