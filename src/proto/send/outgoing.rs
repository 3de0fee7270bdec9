//! Messages to send: which are allowed, and in which frames they are sent.

use std::mem;

use bytes::Bytes;

use super::PreparedMessage;
use crate::{
    message::{CloseCode, Message},
    proto::{
        InvalidMessage, close,
        frame::{MAX_CONTROL, OpCode, RSV1},
    },
};

/// A message that is allowed on the wire.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(super) opcode: OpCode,
    pub(super) payload: Bytes,
    compression: Compression,
    /// The prepared message that it shares with others.
    pub(super) prepared: Option<PreparedMessage>,
}

/// What the payload has to do with compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    /// It may be compressed.
    Possible,
    /// The user has opted out.
    Never,
    Done,
}

impl Outgoing {
    /// Rejects a message that may not be sent.
    #[inline]
    pub(crate) fn new(message: Message) -> Result<Self, InvalidMessage> {
        let (opcode, payload) = match message {
            Message::Text(text) => (OpCode::Text, text.into()),
            Message::Binary(data) => (OpCode::Binary, data),
            Message::Ping(payload) => (OpCode::Ping, payload),
            Message::Pong(payload) => (OpCode::Pong, payload),
            Message::Close(frame) => (OpCode::Close, close::payload(frame.as_ref())?),
            Message::Frame(_) => return Err(InvalidMessage::RawFrame),
        };
        if opcode.is_control() && payload.len() > MAX_CONTROL {
            return Err(InvalidMessage::ControlTooLong(payload.len()));
        }
        Ok(Self {
            opcode,
            payload,
            compression: Compression::Possible,
            prepared: None,
        })
    }

    /// Returns the same message; both share the payload, and its compressed forms if they belong to
    /// a message that was `prepared`.
    pub(super) fn share(&self, prepared: Option<PreparedMessage>) -> Self {
        Self {
            opcode: self.opcode,
            payload: self.payload.clone(),
            compression: self.compression,
            prepared,
        }
    }

    /// Returns the message, and leaves an empty one behind.
    pub(super) fn take(&mut self) -> Self {
        Self {
            opcode: self.opcode,
            payload: mem::take(&mut self.payload),
            compression: self.compression,
            prepared: self.prepared.take(),
        }
    }

    pub(super) fn payload(&self) -> &Bytes {
        &self.payload
    }

    pub(super) fn prepared(&self) -> Option<&PreparedMessage> {
        self.prepared.as_ref()
    }

    /// Opts out of compression.
    pub(super) fn set_uncompressed(&mut self) {
        self.compression = Compression::Never;
    }

    pub(super) fn is_uncompressed(&self) -> bool {
        self.compression == Compression::Never
    }

    /// Replaces the payload by its compressed form.
    pub(super) fn compress(&mut self, compressed: Bytes) {
        self.payload = compressed;
        self.compression = Compression::Done;
    }

    /// Turns the message into the rest of itself, after its first frame (RFC 6455, section 5.4).
    pub(super) fn go_on(&mut self) {
        self.opcode = OpCode::Continuation;
        self.compression = Compression::Never;
    }

    /// Returns the reserved bits of the next frame.
    #[inline]
    pub(super) fn reserved(&self) -> u8 {
        match self.compression {
            Compression::Done => RSV1,
            _ => 0,
        }
    }

    pub(crate) fn opcode(&self) -> OpCode {
        self.opcode
    }

    /// Returns the length of the payload.
    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }

    #[inline]
    pub(crate) fn is_control(&self) -> bool {
        self.opcode.is_control()
    }

    #[inline]
    pub(crate) fn is_text(&self) -> bool {
        self.opcode == OpCode::Text
    }

    /// Returns the code of a Close, if it has one.
    pub(crate) fn close_code(&self) -> Option<CloseCode> {
        let (code, _) = self.payload.split_first_chunk()?;
        Some(u16::from_be_bytes(*code).into())
    }

    pub(crate) fn is_close(&self) -> bool {
        self.opcode == OpCode::Close
    }
}
