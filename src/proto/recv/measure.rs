//! What the fuzz targets measure of a decoder.

use super::{Decoder, assembler::Assembler};

impl Decoder {
    /// Returns how many bytes of an incomplete message are there, uncompressed.
    pub(crate) fn arrived(&self) -> usize {
        self.message.as_ref().map_or(0, Assembler::len)
    }
}
