//! The protocol without IO: bytes in, messages out, and the other way round.
//!
//! What arrives goes through [`Decoder`], which finds the [`Header`] of each frame, takes the
//! [`Mask`] off its payload and puts messages together. What leaves is cut into frames by
//! [`WriteBuffer`], which keeps them until a stream has taken them. Nothing here knows a stream, a
//! runtime or a clock.

pub(crate) mod buffer;
mod close;
mod copy;
pub(crate) mod frame;
pub(crate) mod mask;
mod recv;
mod send;

use crate::{Message, Result};

pub(crate) use self::{
    close::{closing_frame, dropping_frame},
    recv::{Decoded, Decoder},
    send::{MAX_SLICES, Outgoing, WriteBuffer},
};

/// The place of what is received: the next message, or what there is instead of it.
///
/// It is that which a handler is given in the end, and goes all the way down to where the message
/// is made. To move it at each step up, or only to put the message into another type, costs time:
/// the processor waits for what was just written in other pieces.
pub(crate) type RecvSlot = Option<Result<Message>>;
