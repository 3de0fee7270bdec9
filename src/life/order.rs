//! What the task of a socket takes from the queue: messages, and at last an order.

use super::lane::Batch;
use crate::proto::PreparedMessage;

/// What a sender wants the socket to do.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Send this Close, behind everything that was queued.
    Close(PreparedMessage),
    /// End the connection at once.
    Abort,
    /// Close, because the queue was full.
    GiveUp,
}

impl Order {
    pub(super) fn is_abort(&self) -> bool {
        matches!(self, Self::Abort)
    }

    /// Returns whether the order discards what is queued.
    pub(super) fn is_urgent(&self) -> bool {
        !matches!(self, Self::Close(_))
    }
}

/// What the task of the socket has taken.
pub(crate) struct Taken {
    pub(crate) batch: Batch,
    /// To be followed once these messages are sent.
    pub(crate) order: Option<Order>,
}
