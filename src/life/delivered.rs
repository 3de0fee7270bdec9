//! What a hub leaves in the queues of its members.

use std::task::Waker;

use crate::proto::PreparedMessage;

/// What became of a published message at the members of this process.
///
/// The fields add up to the number of members, for a burst to that of members times messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Members in whose queue the message is. With
    /// [`WhenFull::DropOldest`](crate::WhenFull::DropOldest), older messages may have made space,
    /// which only [`Sender::buffered`](crate::Sender::buffered) counts.
    pub queued: usize,
    /// Members that miss the message: their queue is full, and its policy is
    /// [`WhenFull::DropNewest`](crate::WhenFull::DropNewest). Also all members if the message may
    /// not be sent at all, and those with 16 control frames in the queue if it is one.
    pub dropped: usize,
    /// Members that are closed with code 1013 because their queue is full, with
    /// [`WhenFull::Close`](crate::WhenFull::Close) or [`WhenFull::Wait`](crate::WhenFull::Wait).
    pub closed: usize,
    /// Members whose socket was closing or closed already, and who have not left yet.
    pub gone: usize,
}

impl Delivered {
    /// Returns the sum of the fields.
    #[must_use]
    pub fn total(&self) -> usize {
        self.queued + self.dropped + self.closed + self.gone
    }
}

/// What is woken and dropped once a hub holds no lock: both may run code of the user.
#[derive(Default)]
pub(crate) struct Later {
    pub(super) wakers: Vec<Waker>,
    pub(crate) messages: Vec<PreparedMessage>,
}

impl Drop for Later {
    fn drop(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}
