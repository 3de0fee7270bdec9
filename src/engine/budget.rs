//! Turns: how long a connection may keep its thread before others get theirs.

use std::task::{Context, Poll};

/// What a connection may do in one turn: 256 frames, or half a MiB of them. That is well below a
/// millisecond, and the turn that follows costs less than a thousandth of it.
const TURN: usize = 256;

/// Bytes that cost as much as a frame.
const BYTES: usize = 2 * 1024;

/// What was done since the connection has waited for the last time.
///
/// It is counted across polls that were ready: a handler that loops on `next` would not yield either
/// where the runtime has no budget of its own, as smol has none.
#[derive(Debug, Default)]
pub(super) struct Budget(usize);

impl Budget {
    /// Is pending once the turn is over; then the task is woken for the next one.
    #[inline]
    pub(super) fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.0 < TURN {
            return Poll::Ready(());
        }
        self.0 = 0;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    #[inline]
    pub(super) fn spend_read(&mut self, bytes: usize) {
        self.0 += 1 + bytes / BYTES;
    }

    #[inline]
    pub(super) fn spend_frames(&mut self, frames: usize) {
        self.0 += frames;
    }

    /// The connection waits, so others have their turn anyway.
    #[inline]
    pub(super) fn restore(&mut self) {
        self.0 = 0;
    }
}
