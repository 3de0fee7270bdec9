//! What travels between hubs: a header of 32 bytes, then the payload of a message.
//!
//! | Bytes | |
//! |---|---|
//! | 0 to 3 | `anyw` |
//! | 4 | the version, 1 |
//! | 5 | the opcode: 1 for text, 2 for binary (RFC 6455, section 11.8) |
//! | 6 | flags |
//! | 7 | 0 |
//! | 8 to 15 | the hub that sent it |
//! | 16 to 23, 24 to 31 | the epoch and the number of its [`Sequence`] |
//!
//! Numbers are big-endian.

use super::sequence::Sequence;
use crate::{
    message::{Bytes, Message, Utf8Bytes},
    proto::{Outgoing, PreparedMessage, frame::OpCode},
};

const MAGIC: [u8; 4] = *b"anyw";
const VERSION: u8 = 1;
const HEADER: usize = 32;
/// Members that join later get the message, too.
const LATEST: u8 = 1;
/// The message is never compressed.
const UNCOMPRESSED: u8 = 2;

/// The longest payload that travels: what waits for the backplane is bounded, too.
pub(super) const MAX_PAYLOAD: usize = 16 * 1024 * 1024;
pub(super) const MAX_ENVELOPE: usize = HEADER + MAX_PAYLOAD;

/// A message on its way between hubs.
pub(super) struct Envelope {
    pub(super) node: u64,
    pub(super) sequence: Sequence,
    pub(super) is_latest: bool,
    pub(super) message: PreparedMessage,
}

/// The bytes are not an envelope of this version.
pub(super) struct Foreign;

impl Envelope {
    /// Returns whether a message travels between hubs: data does, control frames do not.
    pub(super) fn carries(message: &PreparedMessage) -> bool {
        message.check().is_ok_and(|outgoing| !outgoing.is_control())
    }

    /// Returns the number of bytes.
    pub(super) fn size(&self) -> usize {
        HEADER + self.message.check().map_or(0, Outgoing::len)
    }

    /// Returns the bytes.
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.size());
        if let Ok(outgoing) = self.message.check() {
            let flags = if self.is_latest { LATEST } else { 0 }
                | if self.message.is_uncompressed() {
                    UNCOMPRESSED
                } else {
                    0
                };
            bytes.extend(MAGIC);
            bytes.extend([VERSION, outgoing.opcode() as u8, flags, 0]);
            bytes.extend(self.node.to_be_bytes());
            bytes.extend(self.sequence.epoch.to_be_bytes());
            bytes.extend(self.sequence.number.to_be_bytes());
            bytes.extend_from_slice(outgoing.payload());
        }
        bytes.into()
    }

    /// Reads what another hub has sent, or what anybody else has.
    pub(super) fn decode(mut bytes: Bytes) -> Result<Self, Foreign> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(Foreign)?;
        let [m0, m1, m2, m3, VERSION, opcode, flags, 0, numbers @ ..] = *header else {
            return Err(Foreign);
        };
        let is_known = flags & !(LATEST | UNCOMPRESSED) == 0;
        if [m0, m1, m2, m3] != MAGIC || !is_known || bytes.len() > MAX_ENVELOPE {
            return Err(Foreign);
        }
        let payload = bytes.split_off(HEADER);
        let message = match OpCode::from_bits(opcode) {
            Ok(OpCode::Text) => Message::Text(Utf8Bytes::try_from(payload).map_err(|_| Foreign)?),
            Ok(OpCode::Binary) => Message::Binary(payload),
            _ => return Err(Foreign),
        };
        let message = PreparedMessage::from(message);
        let number = |at: usize| {
            let bytes = numbers[at..].first_chunk().copied();
            bytes.map_or(0, u64::from_be_bytes)
        };
        Ok(Self {
            node: number(0),
            sequence: Sequence {
                epoch: number(8),
                number: number(16),
            },
            is_latest: flags & LATEST != 0,
            message: if flags & UNCOMPRESSED == 0 {
                message
            } else {
                message.uncompressed()
            },
        })
    }
}
