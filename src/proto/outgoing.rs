//! Messages on their way out: what may be sent, and in which frames.

use bytes::Bytes;

use super::{
    close,
    frame::{MAX_CONTROL, OpCode},
};
use crate::{InvalidMessage, Message};

/// A message that may go on the wire.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(super) opcode: OpCode,
    pub(super) payload: Bytes,
}

impl Outgoing {
    /// Refuses what may not be sent.
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

    pub(crate) fn is_close(&self) -> bool {
        self.opcode == OpCode::Close
    }

    /// Cuts off the next frame, with a payload of `limit` bytes at most: its opcode, its payload, and
    /// whether it is the last one.
    pub(super) fn next_frame(&mut self, limit: usize) -> (OpCode, Bytes, bool) {
        let opcode = self.opcode;
        if opcode.is_control() || self.payload.len() <= limit {
            return (opcode, std::mem::take(&mut self.payload), true);
        }
        self.opcode = OpCode::Continuation;
        (opcode, self.payload.split_to(limit), false)
    }
}
