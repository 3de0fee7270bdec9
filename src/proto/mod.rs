//! The protocol without IO: bytes in, messages out, and the other way round.
//!
//! [`Endpoint`] is one end of a connection. What arrives goes through [`recv`], which finds the
//! header of each frame, unmasks the payload and assembles messages. What leaves goes through
//! [`send`], which cuts messages into frames and buffers them until a stream has taken them.
//! Nothing here knows a stream, a runtime or a clock.

pub(crate) mod buffer;
mod close;
mod copy;
mod endpoint;
mod error;
pub(crate) mod frame;
pub(crate) mod mask;
pub(crate) mod recv;
mod send;

pub use self::error::{InvalidMessage, ProtocolError};
pub(crate) use self::{
    close::{closing_frame, dropping_frame},
    endpoint::{Endpoint, State},
    recv::Decoded,
    send::{MAX_SLICES, Outgoing, WriteBuffer},
};
use crate::message::Message;

/// A slot for what is received: the next message, or an error in its place.
///
/// An out-parameter, from the handler down to where the message is made: returned by value, the
/// message would be copied at each level, and each copy waits for the stores of the one before.
/// The error is the caller's own, so that the slot is the very value that a handler gets.
pub(crate) type RecvSlot<E> = Option<Result<Message, E>>;
