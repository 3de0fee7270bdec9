//! The protocol without IO: bytes in, messages out, and the other way round.
//!
//! What arrives goes through [`Decoder`], which finds the [`Header`] of each frame, takes the
//! [`Mask`] off its payload and puts messages together. What leaves is cut into frames by
//! [`Outbox`], which keeps them until a stream has taken them. Nothing here knows a stream, a
//! runtime or a clock.

mod assembly;
mod close;
mod copy;
mod decoder;
pub(crate) mod frame;
pub(crate) mod mask;
mod outbox;
mod outgoing;
mod pongs;
mod pool;
mod text;

pub(crate) use self::{
    close::{closing_frame, dropping_frame},
    decoder::{Decoded, Decoder},
    outbox::{MAX_SLICES, Outbox},
    outgoing::Outgoing,
    pool::{give, keep},
};
