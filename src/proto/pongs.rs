//! The answers to pings, of which one at most is on its way (RFC 6455, section 5.5.3).

use bytes::Bytes;

/// What became of the pings that have arrived.
#[derive(Debug, Default)]
pub(super) struct Pongs {
    /// Bytes up to the end of the pong that was staged last; 0 once it was written.
    ahead: usize,
    /// How many of them are its own.
    staged: usize,
    /// The answer to the latest ping, while the one before is not written.
    waiting: Option<Bytes>,
    /// Bytes of pings that came meanwhile.
    unanswered: usize,
}

impl Pongs {
    /// Tells whether a pong that was staged is still to be written.
    pub(super) fn is_staged(&self) -> bool {
        self.ahead > 0
    }

    /// Returns how many of the bytes that are staged are those of a pong.
    #[inline]
    pub(super) fn staged(&self) -> usize {
        self.staged
    }

    #[inline]
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// A pong of `length` bytes was staged as the last of `ahead` bytes.
    pub(super) fn stage(&mut self, length: usize, ahead: usize) {
        self.staged = length;
        self.ahead = ahead;
    }

    /// Takes the place of a pong that was waiting already.
    pub(super) fn wait(&mut self, payload: Bytes) {
        self.unanswered += payload.len().max(1);
        self.waiting = Some(payload);
    }

    /// Returns what was waiting, to be staged or to be forgotten.
    pub(super) fn take_waiting(&mut self) -> Option<Bytes> {
        self.waiting.take()
    }

    /// So many bytes were written.
    pub(super) fn advance(&mut self, written: usize) {
        self.ahead = self.ahead.saturating_sub(written);
        self.staged = self.staged.min(self.ahead);
        if self.ahead == 0 {
            self.unanswered = 0;
        }
    }
}
