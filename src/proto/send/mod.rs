//! Sending: checks messages, and buffers their frames until they are written.

mod compressor;
mod outgoing;
mod pongs;
mod prepared;
mod write_buffer;

pub use self::prepared::PreparedMessage;
pub(crate) use self::{
    compressor::{Compressor, Progress, Ready},
    outgoing::Outgoing,
    write_buffer::{MAX_SLICES, WriteBuffer},
};
pub(super) use super::deflate::STEP;
