//! Errors for what an endpoint rejects: messages of its user, and bytes of its peer.

use crate::message::CloseCode;

/// Why a message is rejected before it is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// A ping or pong of more than 125 bytes (RFC 6455, section 5.5).
    #[error("a control frame of {0} bytes is too long: the limit is 125")]
    ControlTooLong(usize),
    /// A close code that is not allowed on the wire (RFC 6455, section 7.4).
    #[error("close code {0} may not be sent")]
    CloseCode(u16),
    /// A close reason of more than 123 bytes (RFC 6455, sections 5.5 and 5.5.1).
    #[error("a close reason of {0} bytes is too long: the limit is 123")]
    CloseReasonTooLong(usize),
    /// A raw frame: only this crate creates frames.
    #[error("raw frames cannot be sent")]
    RawFrame,
}

/// How the peer broke the protocol. Sections refer to RFC 6455.
///
/// The peer gets a Close with code 1002 ([`close_code`](Self::close_code)), unless the variant
/// names another code. Bytes after the violation are not parsed. Violations in a header are found
/// before the payload has arrived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set where no extension gives it a meaning (section 5.2). Compression uses
    /// the first one, in the first frame of a text or binary message (RFC 7692, section 6).
    #[error("a reserved bit is set where no extension uses it")]
    ReservedBits,
    /// An undefined opcode: 3 to 7 or 11 to 15 (section 5.2).
    #[error("unknown opcode {0}")]
    UnknownOpcode(u8),
    /// A frame from a client is not masked (section 5.1); see
    /// [`accept_unmasked_frames`](crate::TransportConfig::accept_unmasked_frames).
    #[error("a frame from a client is not masked")]
    UnmaskedFrame,
    /// A frame from a server is masked (section 5.1).
    #[error("a frame from a server is masked")]
    MaskedFrame,
    /// A control frame is fragmented (section 5.4).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame has more than 125 bytes (section 5.5).
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A continuation frame arrived outside a fragmented message (section 5.4).
    #[error("a continuation frame continues nothing")]
    UnexpectedContinuation,
    /// A new data frame arrived inside a fragmented message (section 5.4).
    #[error("a new message begins inside a fragmented one")]
    ExpectedContinuation,
    /// A length does not have the shortest form, or its most significant bit is set (section 5.2).
    #[error("the length of a frame is malformed")]
    InvalidLength,
    /// The payload of a Close frame is a single byte, or begins with a code that is not allowed on
    /// the wire (sections 5.5.1 and 7.4).
    #[error("the payload of a Close frame is malformed")]
    InvalidClose,
    /// A text, or the reason of a Close frame, is not UTF-8 (section 8.1, code 1007). A text is
    /// rejected at its first invalid byte, before the frame and the message are complete.
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// The data of a compressed message is damaged or cut (RFC 7692, section 7.2.2, code 1007).
    #[error("a compressed message cannot be inflated")]
    InvalidDeflate,
    /// A message or frame is larger than the limit (section 7.4.1, code 1009):
    /// [`max_message_size`](crate::TransportConfig::max_message_size) or
    /// [`max_frame_size`](crate::TransportConfig::max_frame_size).
    #[error("a message or frame of {size} bytes is above the limit of {limit}")]
    TooLarge {
        /// The size of the frame, or of its message up to the end of the frame, in bytes. For a
        /// compressed message, the size of its compressed bytes, or of what was inflated so far.
        size: usize,
        /// The limit that was exceeded, in bytes. For the compressed bytes of a message, it is an
        /// eighth and 1 KiB above `max_message_size`.
        limit: usize,
    },
    /// A message has more fragments than this, 131,072 (section 7.4.1, code 1008).
    #[error("a message of more than {0} fragments")]
    TooManyFragments(u32),
}

impl ProtocolError {
    /// Returns the code of the Close frame that is sent to the peer (RFC 6455, section 7.4.1).
    #[must_use]
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => CloseCode::Invalid,
            Self::TooLarge { .. } => CloseCode::Size,
            Self::TooManyFragments(_) => CloseCode::Policy,
            _ => CloseCode::Protocol,
        }
    }
}
