//! Bounds of the queue that a socket's senders share.

use super::ConfigError;

/// How much the senders of a socket may queue, and what happens when that is reached.
///
/// It is passed to [`WebSocket::sender_with`](crate::WebSocket::sender_with), or set for all
/// sockets by [`WebSocketConfig::set_queue`](crate::WebSocketConfig::set_queue).
///
/// ```
/// use anyws::{QueueConfig, WhenFull};
///
/// let prices = QueueConfig::default().messages(32).when_full(WhenFull::DropOldest);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct QueueConfig {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) when_full: WhenFull,
}

impl QueueConfig {
    /// Sets how many messages the queue holds; default 256, at least 1.
    pub fn messages(mut self, max: usize) -> Self {
        self.messages = max;
        self
    }

    /// Sets how many bytes the queue holds; default 1 MiB, at least 1.
    ///
    /// A message counts its payload and 64 bytes more, for the memory that an empty message needs.
    /// An empty queue accepts any message, so a queue holds at most this many bytes or one message.
    pub fn bytes(mut self, max: usize) -> Self {
        self.bytes = max;
        self
    }

    /// Sets what happens to a message for which the queue has no space; default
    /// [`WhenFull::Wait`].
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
        self
    }

    pub(super) fn validate(self) -> Result<(), ConfigError> {
        match (self.messages, self.bytes) {
            (0, _) => Err(ConfigError::ZeroLimit("QueueConfig::messages")),
            (_, 0) => Err(ConfigError::ZeroLimit("QueueConfig::bytes")),
            _ => Ok(()),
        }
    }
}

impl Default for QueueConfig {
    /// Returns the defaults: enough for a burst, and little enough that a thousand peers that do
    /// not read cost no more than a gigabyte.
    fn default() -> Self {
        Self {
            messages: 256,
            bytes: 1024 * 1024,
            when_full: WhenFull::Wait,
        }
    }
}

/// What a [`Sender`](crate::Sender) does with a message for which its queue has no space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// [`Sender::send`](crate::Sender::send) waits for space;
    /// [`Sender::try_send`](crate::Sender::try_send) returns the message.
    #[default]
    Wait,
    /// Drops the new message, and counts it in [`Buffered::dropped`](crate::Buffered::dropped).
    DropNewest,
    /// Drops the oldest messages until the new one fits, and counts them.
    DropOldest,
    /// Drops everything in the queue and closes the socket with code 1013: the peer is too slow, or
    /// the handler is too busy to send. Choose bounds above the largest burst of messages.
    Close,
}
