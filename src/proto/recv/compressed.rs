//! Compressed messages on their way from frames to the assembler (RFC 7692, section 6).

use super::{
    assembler::Assembler,
    decoder::{Decoded, Decoder, at_most},
};
use crate::proto::{
    ProtocolError, RecvSlot,
    deflate::Inflated,
    frame::{Header, OpCode, RSV1},
};

/// How many compressed bytes, or bytes of plaintext, take about as long as a frame.
const BYTES_PER_FRAME: usize = 256;

/// What the headers of blocks may add to a compressed message of any length, with much to spare.
const MAX_BLOCK_HEADERS: usize = 1024;

impl Decoder {
    /// Checks the reserved bits. The first one means a compressed message, in its first frame (RFC
    /// 7692, section 6).
    #[cold]
    pub(super) fn check_reserved(&mut self, header: &Header) -> Result<(), ProtocolError> {
        let is_first = matches!(header.opcode, OpCode::Text | OpCode::Binary);
        if header.reserved != RSV1 || !is_first || self.inflater.is_none() {
            return Err(ProtocolError::ReservedBits);
        }
        // If another message has begun, the next check fails.
        self.is_compressed = true;
        Ok(())
    }

    /// Checks the length of a compressed frame, and starts its message.
    ///
    /// The limit is one on plaintext, and is checked as that comes out. A longer compressed message
    /// cannot hold it: a code for a byte has up to 9 bits (RFC 1951, section 3.2.6).
    #[inline(never)]
    pub(super) fn begin_compressed(
        &mut self,
        opcode: OpCode,
        length: usize,
    ) -> Result<(), ProtocolError> {
        let before = self.inflater.as_ref().map_or(0, |inflater| inflater.len());
        let most = self.max_message.saturating_add(self.max_message / 8);
        let most = most.saturating_add(MAX_BLOCK_HEADERS);
        at_most(before.saturating_add(length), most)?;
        self.message.get_or_insert_with(|| Assembler::new(opcode));
        Ok(())
    }

    /// Adds a piece to a compressed message. Returns how many frames' work that was.
    pub(super) fn push_compressed<E>(
        &mut self,
        piece: &mut [u8],
        received: &mut RecvSlot<E>,
    ) -> Result<u32, ProtocolError> {
        self.frame.unmask(piece);
        self.inflate(Some(piece), received)
    }

    /// Continues with a message that was inflated in part, then with `bytes`.
    #[cold]
    pub(super) fn resume<E>(
        &mut self,
        bytes: &mut [u8],
        received: &mut RecvSlot<E>,
    ) -> Result<Decoded, ProtocolError> {
        let mut decoded = Decoded::default();
        let work = self.inflate(None, received)?;
        if !self.is_inflating {
            decoded = self.decode(bytes, received)?;
        }
        decoded.frames += work;
        Ok(decoded)
    }

    /// Inflates the next `piece`, or continues without one. Completes the message if it ends.
    fn inflate<E>(
        &mut self,
        piece: Option<&[u8]>,
        received: &mut RecvSlot<E>,
    ) -> Result<u32, ProtocolError> {
        let (Some(inflater), Some(message)) = (&mut self.inflater, &mut self.message) else {
            return Ok(0);
        };
        let limit = self.max_message;
        let push = |plaintext: &mut [u8], is_end: bool| {
            let length = message.len() + plaintext.len();
            at_most(length, limit)?;
            message.push(plaintext, None, if is_end { length } else { limit })
        };
        let (state, work) = match piece {
            Some(piece) => inflater.push(piece, self.frame.is_last(), push)?,
            None => inflater.resume(push)?,
        };
        self.is_inflating = state == Inflated::Paused;
        if state == Inflated::Done {
            self.is_compressed = false;
            self.finish_last(received)?;
        }
        let work = work + piece.map_or(0, <[u8]>::len);
        // It is at most what one call returns, and a piece.
        Ok(u32::try_from(work / BYTES_PER_FRAME).unwrap_or(u32::MAX))
    }
}
