//! Receiving: decodes bytes into frames, and frames into messages.

mod assembler;
mod compressed;
mod decoder;
#[cfg(fuzzing)]
mod measure;
pub(super) mod text;

pub(crate) use self::decoder::{Decoded, Decoder, PING_LEN};
