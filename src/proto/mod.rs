//! The protocol without IO: bytes in, messages out, and the reverse.
//!
//! [`Endpoint`] is one end of a connection. Bytes that arrive pass through [`recv`], which parses
//! the header of each frame, unmasks the payload and assembles messages. Messages to send pass
//! through [`send`], which splits them into frames and buffers these until a stream has accepted
//! them. Nothing here knows a stream, a runtime or a clock.

pub(crate) mod buffer;
mod close;
mod copy;
mod deflate;
mod endpoint;
mod error;
pub(crate) mod frame;
pub(crate) mod mask;
pub(crate) mod recv;
mod send;

pub(crate) use self::{
    close::{closing_frame, dropping_frame, is_for_the_wire},
    deflate::CAN_COMPRESS,
    endpoint::{Endpoint, State},
    recv::Decoded,
    send::{MAX_SLICES, Outgoing, WriteBuffer},
};
pub use self::{
    error::{InvalidMessage, ProtocolError},
    send::PreparedMessage,
};
use crate::message::Message;

/// A slot for what is received: the next message, or an error instead.
///
/// It is an out-parameter, from the handler down to where the message is created. Returning the
/// message by value would copy it at each level, and each copy waits for the stores of the previous
/// one. The error type is the caller's own, so that the slot is the very value that a handler gets.
pub(crate) type RecvSlot<E> = Option<Result<Message, E>>;
