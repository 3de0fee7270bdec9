//! Messages to send: which are allowed, and in which frames they are sent.

use std::mem;

use bytes::Bytes;

use crate::{
    message::{CloseCode, Message},
    proto::{
        InvalidMessage, close,
        frame::{MAX_CONTROL, OpCode},
    },
};

/// A message that is allowed on the wire.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(super) opcode: OpCode,
    pub(super) payload: Bytes,
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
        Ok(Self { opcode, payload })
    }

    /// Returns the same message; both share the payload.
    pub(super) fn share(&self) -> Self {
        Self {
            opcode: self.opcode,
            payload: self.payload.clone(),
        }
    }

    /// Returns the message, and leaves an empty one behind.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            opcode: self.opcode,
            payload: mem::take(&mut self.payload),
        }
    }

    pub(crate) fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Returns the same message with its compressed payload.
    pub(super) fn compressed(&self, payload: Bytes) -> Self {
        Self {
            opcode: self.opcode,
            payload,
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
