//! From bytes to messages: frames out of bytes, messages out of frames.

mod assembler;
mod decoder;
pub(super) mod text;

pub(crate) use self::decoder::{Decoded, Decoder};
