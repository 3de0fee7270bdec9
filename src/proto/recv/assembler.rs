//! A data message that arrives in pieces: fragments, or parts of a long frame.

use super::text::{self, Text};
use crate::{
    Message, ProtocolError,
    proto::{RecvSlot, buffer::PayloadBuf, copy, frame::OpCode, mask::Mask},
};

/// Room that a message gets at least once it does not come in one piece.
const MIN_ROOM: usize = 256;

/// Bytes that a stream may read into a message at once: what is unmasked next is still in the
/// processor's second cache then.
const MAX_DIRECT_READ: usize = 256 * 1024;

/// What has arrived of a message, its mask taken off.
#[derive(Debug)]
pub(super) enum Assembler {
    Text(Text),
    Binary(Binary),
}

impl Assembler {
    pub(super) fn new(opcode: OpCode) -> Self {
        match opcode {
            OpCode::Text => Self::Text(Text::default()),
            _ => Self::Binary(Binary::default()),
        }
    }

    /// Makes a message of its only piece, from which `mask` is to be taken off, and puts it in its
    /// place.
    #[inline]
    pub(super) fn whole(
        opcode: OpCode,
        piece: &[u8],
        mask: Option<Mask>,
        received: &mut RecvSlot,
    ) -> Result<(), ProtocolError> {
        let payload = match mask {
            Some(mask) => mask.copy(piece),
            None => copy::to_vec(piece).into(),
        };
        if opcode == OpCode::Text {
            return whole_text(payload, received);
        }
        *received = Some(Ok(Message::Binary(payload.into())));
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(binary) => binary.len(),
        }
    }

    /// Adds the next piece, from which `mask` is to be taken off. `max_len` is the length of the
    /// whole message, or its limit.
    pub(super) fn push(
        &mut self,
        piece: &mut [u8],
        mask: Option<&mut Mask>,
        max_len: usize,
    ) -> Result<(), ProtocolError> {
        match self {
            Self::Text(text) => {
                if let Some(mask) = mask {
                    mask.apply(piece);
                }
                let room = grown(text.len(), text.capacity(), piece.len(), max_len);
                text.grow(room);
                text.push(piece)
            }
            Self::Binary(binary) => {
                binary.push(piece, mask, max_len);
                Ok(())
            }
        }
    }

    pub(super) fn finish(self) -> Result<Message, ProtocolError> {
        Ok(match self {
            Self::Text(text) => {
                let mut text = text.finish()?;
                // What is too much would be kept for as long as the message is.
                text.shrink_to_fit();
                Message::Text(text.into())
            }
            Self::Binary(Binary { buffer, filled }) => Message::Binary(buffer.into_bytes(filled)),
        })
    }
}

/// Makes a text of its payload, and puts it in its place.
// Out of the way of binary messages: inlined it takes the decoder's registers.
#[inline(never)]
fn whole_text(payload: Box<[u8]>, received: &mut RecvSlot) -> Result<(), ProtocolError> {
    *received = Some(Ok(Message::Text(text::whole(payload)?.into())));
    Ok(())
}

/// Bytes that have arrived, in front of others that will be overwritten.
#[derive(Debug, Default)]
pub(super) struct Binary {
    buffer: PayloadBuf,
    filled: usize,
}

impl Binary {
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    fn push(&mut self, piece: &mut [u8], mask: Option<&mut Mask>, max_len: usize) {
        self.make_room(piece.len(), max_len);
        // What is there already need not be made.
        let old = piece.len().min(self.buffer.len() - self.filled);
        let (over, behind) = piece.split_at_mut(old);
        let to = &mut self.buffer[self.filled..self.filled + old];
        copy::overwrite(to, over);
        match mask {
            Some(mask) => {
                mask.apply(to);
                mask.extend(&mut self.buffer, behind);
            }
            None => copy::extend(&mut self.buffer, behind),
        }
        self.filled += piece.len();
    }

    /// Returns the free part of a buffer that was used before, `length` bytes of it at most, for a
    /// stream to read into. New memory would have to be zeroed first, which takes longer than to
    /// copy what was read into a block.
    pub(super) fn spare(&mut self, length: usize, max_len: usize) -> Option<&mut [u8]> {
        self.make_room(1, max_len);
        let spare = self.buffer.get_mut(self.filled..)?;
        let length = length.min(MAX_DIRECT_READ).min(spare.len());
        spare.get_mut(..length).filter(|spare| !spare.is_empty())
    }

    /// Returns the next `length` bytes, which a stream has read.
    pub(super) fn fill(&mut self, length: usize) -> &mut [u8] {
        let start = self.filled;
        self.filled += length;
        &mut self.buffer[start..self.filled]
    }

    fn make_room(&mut self, additional: usize, max_len: usize) {
        let room = grown(self.filled, self.buffer.capacity(), additional, max_len);
        if room <= self.buffer.capacity() {
            return;
        }
        let taken = PayloadBuf::take(max_len, self.filled, self.filled + additional);
        if let Some(mut larger) = taken {
            copy::overwrite(&mut larger[..self.filled], &self.buffer[..self.filled]);
            self.buffer = larger;
        } else {
            self.buffer.grow(room);
        }
    }
}

/// Returns the room that a message gets for more bytes.
///
/// It grows with what has arrived, whatever was announced, and is no more than the message needs.
fn grown(length: usize, room: usize, additional: usize, max_len: usize) -> usize {
    let needed = length + additional;
    if needed <= room {
        return room;
    }
    let grown = needed.saturating_mul(2).max(MIN_ROOM);
    grown.min(max_len).max(needed)
}
