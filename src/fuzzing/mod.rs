//! The parts of the crate that the fuzz targets use: the codec of frames, without a stream, and the
//! negotiation of compression.
//!
//! Only `cargo fuzz` compiles this module. It is not part of the API.

mod negotiation;
mod sending;

use std::convert::Infallible;

pub use self::{
    negotiation::{Agreed, Offer, agree, answer},
    sending::Sending,
};
use crate::{
    config::{Compression, TransportConfig},
    message::{Message, Role},
    proto::{self, ProtocolError, frame, mask::Key},
};

/// A frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the fuzz targets make it")]
pub struct Header {
    /// The frame is the last one of its message.
    pub fin: bool,
    /// The reserved bits, in their position in the first byte.
    pub reserved: u8,
    /// The opcode; only defined ones are valid.
    pub opcode: u8,
    /// The masking key.
    pub key: Option<[u8; 4]>,
    /// The length of the payload.
    pub length: u64,
}

impl Header {
    /// Reads a header, and returns it with its length; `None` while it is incomplete.
    ///
    /// # Errors
    ///
    /// The error in the header, if it is one in any connection.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let parsed = frame::Header::parse(bytes)?;
        Ok(parsed.map(|(header, taken)| {
            let header = Self {
                fin: header.fin,
                reserved: header.reserved,
                opcode: header.opcode as u8,
                key: header.key.map(Key::to_bytes),
                length: header.length,
            };
            (header, taken)
        }))
    }

    /// Writes the header; `None` if the opcode is undefined.
    #[must_use]
    pub fn write(&self) -> Option<Vec<u8>> {
        let opcode = match self.opcode {
            0 => frame::OpCode::Continuation,
            1 => frame::OpCode::Text,
            2 => frame::OpCode::Binary,
            8 => frame::OpCode::Close,
            9 => frame::OpCode::Ping,
            10 => frame::OpCode::Pong,
            _ => return None,
        };
        let header = frame::Header {
            fin: self.fin,
            reserved: self.reserved,
            opcode,
            key: self.key.map(Key::from_bytes),
            length: self.length,
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        Some(bytes)
    }
}

/// Decodes the bytes of a peer into messages.
#[derive(Debug)]
pub struct Decoder(proto::recv::Decoder);

impl Decoder {
    /// Creates the decoder of a server or of a client, with the compression that was agreed.
    #[must_use]
    pub fn new(is_server: bool, limits: &TransportConfig, agreed: Option<Agreed>) -> Self {
        let compression = agreed.map(Compression::from);
        let role = role(is_server);
        Self(proto::recv::Decoder::new(
            role,
            limits,
            compression.as_ref(),
        ))
    }

    /// Consumes bytes up to the end of the first message, and returns how many.
    ///
    /// # Errors
    ///
    /// The peer's violation of the protocol. Nothing more can be decoded after it.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<(usize, Option<Message>), ProtocolError> {
        let mut received: proto::RecvSlot<Infallible> = None;
        let decoded = self.0.decode(bytes, &mut received)?;
        let message = received.map(|Ok(message)| message);
        Ok((decoded.taken, message))
    }

    /// Returns whether a message has been inflated in part, and the next call goes on with it.
    #[must_use]
    pub fn is_inflating(&self) -> bool {
        self.0.is_inflating()
    }

    /// Returns how many bytes of an incomplete message are there, uncompressed.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.0.arrived()
    }
}

fn role(is_server: bool) -> Role {
    if is_server {
        Role::Server
    } else {
        Role::Client
    }
}
