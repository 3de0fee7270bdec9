//! Messages that are sent to many.

use std::{fmt, sync::Arc};

use super::Outgoing;
use crate::{
    message::{Bytes, Message, Utf8Bytes},
    proto::{InvalidMessage, deflate::Variants},
};

/// A message that was checked once and can be sent to many sockets.
///
/// Clones share their payload, so a message to a thousand sockets is in memory once. Send it with
/// [`Sender`](crate::Sender), with [`WebSocket::send_prepared`](crate::WebSocket::send_prepared),
/// or with the sending half.
///
/// ```
/// use anyws::{Message, PreparedMessage, Sender};
///
/// fn broadcast(members: &[Sender], news: &str) {
///     let message = PreparedMessage::from(news);
///     for member in members {
///         // A member whose queue is full misses this message.
///         let _ = member.try_send(message.clone());
///     }
/// }
/// # let (mut socket, _) = anyws::testing::pair();
/// # let sender = socket.sender();
/// # broadcast(&[sender.clone()], "hello");
/// # assert_eq!(sender.buffered().messages, 1);
/// ```
///
/// Where compression was agreed, the message is compressed once for each level and window, however
/// many sockets send it. It is compressed by itself, without
/// [takeover](crate::DeflateConfig::send_takeover): a short message then becomes larger than one
/// that each socket compresses. The [guide](crate::guide::compression#messages-to-many) says which
/// to choose.
///
/// A message that may not be sent, such as a ping of more than 125 bytes, is accepted here. Sending
/// it returns the [`InvalidMessage`].
#[derive(Clone)]
pub struct PreparedMessage(Arc<Prepared>);

struct Prepared {
    message: Result<Outgoing, InvalidMessage>,
    is_uncompressed: bool,
    variants: Variants,
}

impl PreparedMessage {
    fn new(message: Result<Outgoing, InvalidMessage>, is_uncompressed: bool) -> Self {
        Self(Arc::new(Prepared {
            message,
            is_uncompressed,
            variants: Variants::default(),
        }))
    }

    /// Creates a message that may not be sent.
    pub(crate) fn invalid(reason: InvalidMessage) -> Self {
        Self::new(Err(reason), false)
    }

    /// Returns the same message, which is never compressed.
    ///
    /// It is for data that is compressed already, such as pictures, and for secrets: no later
    /// message refers to it, even with takeover. See the
    /// [guide](crate::guide::compression#secrets). Clones share their payload with it.
    ///
    /// ```
    /// use anyws::PreparedMessage;
    ///
    /// # let png = vec![0; 1000];
    /// let picture = PreparedMessage::from(png).uncompressed();
    /// ```
    #[must_use]
    pub fn uncompressed(self) -> Self {
        let message = self.check().map(Outgoing::share);
        Self::new(message.map_err(Clone::clone), true)
    }

    /// Returns whether the user has opted out of compression.
    pub(crate) fn is_uncompressed(&self) -> bool {
        self.0.is_uncompressed
    }

    /// Returns whether it is a control frame, which is never compressed.
    pub(crate) fn is_control(&self) -> bool {
        self.check().is_ok_and(Outgoing::is_control)
    }

    /// Returns whether the message is compressed in another way than most: once for all who have
    /// it, or not at all. If nobody else has it, it is one like any other.
    pub(crate) fn is_special(&self) -> bool {
        let is_shared = Arc::strong_count(&self.0) > 1 || !self.0.variants.is_empty();
        is_shared || self.0.is_uncompressed
    }

    /// Returns the message to send. If others have it too, its payload is shared.
    pub(crate) fn into_outgoing(self) -> Result<Outgoing, InvalidMessage> {
        match Arc::try_unwrap(self.0) {
            Ok(only) => only.message,
            Err(shared) => match &shared.message {
                Ok(outgoing) => Ok(outgoing.share()),
                Err(invalid) => Err(invalid.clone()),
            },
        }
    }

    /// Returns the compressed forms of the message.
    pub(super) fn variants(&self) -> &Variants {
        &self.0.variants
    }

    /// Returns why the message may not be sent, if so.
    pub(crate) fn check(&self) -> Result<&Outgoing, &InvalidMessage> {
        self.0.message.as_ref()
    }
}

impl From<Message> for PreparedMessage {
    fn from(message: Message) -> Self {
        Self::new(Outgoing::new(message), false)
    }
}

impl From<&str> for PreparedMessage {
    fn from(text: &str) -> Self {
        Message::text(text).into()
    }
}

impl From<String> for PreparedMessage {
    fn from(text: String) -> Self {
        Message::text(text).into()
    }
}

impl From<Utf8Bytes> for PreparedMessage {
    fn from(text: Utf8Bytes) -> Self {
        Message::Text(text).into()
    }
}

impl From<Bytes> for PreparedMessage {
    fn from(data: Bytes) -> Self {
        Message::Binary(data).into()
    }
}

impl From<Vec<u8>> for PreparedMessage {
    fn from(data: Vec<u8>) -> Self {
        Message::Binary(data.into()).into()
    }
}

impl From<&Self> for PreparedMessage {
    fn from(message: &Self) -> Self {
        message.clone()
    }
}

/// Shows the length of the payload, which is the user's message.
impl fmt::Debug for PreparedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.check() {
            Ok(outgoing) => f
                .debug_struct("PreparedMessage")
                .field("kind", &outgoing.opcode())
                .field("length", &outgoing.len())
                .finish(),
            Err(invalid) => f.debug_tuple("PreparedMessage").field(invalid).finish(),
        }
    }
}
