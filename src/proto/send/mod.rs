//! From messages to bytes: what may be sent, in frames that wait to be written.

mod outgoing;
mod pongs;
mod write_buffer;

pub(crate) use self::{
    outgoing::Outgoing,
    write_buffer::{MAX_SLICES, WriteBuffer},
};
