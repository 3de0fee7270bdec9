//! Turns: how long a connection may keep its thread before others get theirs.

use std::{
    io,
    task::{Context, Poll},
};

/// What a connection may do in one turn: 256 frames, or 2 MiB of them. That is about half a
/// millisecond, and the turn that follows costs less than a thousandth of it.
const TURN: u32 = 256;

/// Bytes that cost as much as a frame.
const BYTES: usize = 8 * 1024;

/// What was done since the connection has waited for the last time.
///
/// It is counted across polls that were ready: a handler that loops on `next` would not yield
/// either where the runtime has no budget of its own, as smol has none.
#[derive(Debug, Default)]
pub(super) struct Budget(u32);

impl Budget {
    /// Is pending once the turn is over; then the task is woken for the next one.
    #[inline]
    pub(super) fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_over() {
            return Poll::Ready(());
        }
        self.begin();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells whether the task has to yield before it goes on.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.0 >= TURN
    }

    /// Begins a turn, whatever was done before.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.0 = 0;
    }

    /// Counts a read or a write, with its bytes; one that waits ends the turn, so that the next one
    /// is a whole one.
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

    /// Counts frames, or what costs as much.
    #[inline]
    pub(super) fn spend(&mut self, frames: u32) {
        self.0 = self.0.saturating_add(frames);
    }
}
