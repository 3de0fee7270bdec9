//! A data message that arrives in pieces: fragments, or parts of a long frame.

use std::mem;

use super::text::{self, Text};
use crate::{
    message::Message,
    proto::{ProtocolError, RecvSlot, buffer::PayloadBuf, copy, frame::OpCode, mask::Mask},
};

/// The minimum capacity of a message that arrives in several pieces.
const MIN_CAPACITY: usize = 256;

/// A stream reads at most this much into a message at once, so that it is still in the processor's
/// second-level cache when it is unmasked.
const MAX_DIRECT_READ: usize = 256 * 1024;

/// The part of a message that has arrived, unmasked.
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

    /// Turns a message's only piece, which is still masked, into a message and puts it into its
    /// slot.
    #[inline]
    pub(super) fn whole<E>(
        opcode: OpCode,
        piece: &[u8],
        mask: Option<Mask>,
        received: &mut RecvSlot<E>,
    ) -> Result<(), ProtocolError> {
        let payload = match mask {
            Some(mask) => mask.copy(piece),
            None => copy::to_vec(piece).into(),
        };
        if opcode == OpCode::Text {
            return whole_text(payload, received);
        }
        fill(received, Message::Binary(payload.into()));
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(binary) => binary.len(),
        }
    }

    /// Adds the next piece, which is still masked. `max_len` is the length of the whole message, or
    /// its limit.
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

    /// Returns memory for at most the next `length` bytes of the payload, for a stream to read into
    /// directly; see [`push_direct`](Self::push_direct). Returns `None` for text, which is checked
    /// in the block and then copied.
    pub(super) fn direct_read_buffer(
        &mut self,
        length: usize,
        max_len: usize,
    ) -> Option<&mut [u8]> {
        match self {
            Self::Text(_) => None,
            Self::Binary(binary) => binary.spare(length, max_len),
        }
    }

    /// Accepts `length` bytes that the stream has read into the
    /// [`direct_read_buffer`](Self::direct_read_buffer).
    pub(super) fn push_direct(&mut self, length: usize, mask: Option<&mut Mask>) {
        if let Self::Binary(binary) = self {
            binary.fill(length, mask);
        }
    }

    pub(super) fn finish(self) -> Result<Message, ProtocolError> {
        Ok(match self {
            Self::Text(text) => {
                let mut text = text.finish()?;
                // The message would hold spare capacity for its whole life.
                text.shrink_to_fit();
                Message::Text(text.into())
            }
            Self::Binary(Binary { buffer, filled }) => Message::Binary(buffer.into_bytes(filled)),
        })
    }
}

/// Fills an empty slot. A plain assignment would check for an old value to drop, which costs 1 % of
/// a small message.
#[inline]
fn fill<E>(received: &mut RecvSlot<E>, message: Message) {
    mem::forget(received.replace(Ok(message)));
}

/// Turns a payload into a text message, and puts it into its slot.
// Not inlined: inlined, it would take registers from the decoder's path for binary messages.
#[inline(never)]
fn whole_text<E>(payload: Box<[u8]>, received: &mut RecvSlot<E>) -> Result<(), ProtocolError> {
    fill(received, Message::Text(text::whole(payload)?.into()));
    Ok(())
}

/// Binary data: `filled` bytes have arrived; the rest of the buffer will be overwritten.
#[derive(Debug, Default)]
pub(super) struct Binary {
    buffer: PayloadBuf,
    filled: usize,
}

impl Binary {
    fn len(&self) -> usize {
        self.filled
    }

    fn push(&mut self, piece: &mut [u8], mask: Option<&mut Mask>, max_len: usize) {
        self.make_room(piece.len(), max_len);
        // Bytes that exist already are overwritten; only the rest is appended.
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

    /// Returns at most `length` bytes of the free part of a reused buffer, for a stream to read
    /// into. New memory would have to be zeroed first, which takes longer than copying from a
    /// block.
    fn spare(&mut self, length: usize, max_len: usize) -> Option<&mut [u8]> {
        self.make_room(1, max_len);
        let spare = self.buffer.get_mut(self.filled..)?;
        let length = length.min(MAX_DIRECT_READ).min(spare.len());
        spare.get_mut(..length).filter(|spare| !spare.is_empty())
    }

    /// Accepts the next `length` bytes, which a stream has read into the spare part.
    fn fill(&mut self, length: usize, mask: Option<&mut Mask>) {
        let start = self.filled;
        self.filled += length;
        if let Some(mask) = mask {
            mask.apply(&mut self.buffer[start..self.filled]);
        }
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

/// Returns the capacity of a message that gets more bytes. It grows with the bytes that have
/// arrived, whatever length was announced, and never exceeds what the message needs.
fn grown(length: usize, room: usize, additional: usize, max_len: usize) -> usize {
    let needed = length + additional;
    if needed <= room {
        return room;
    }
    let grown = needed.saturating_mul(2).max(MIN_CAPACITY);
    grown.min(max_len).max(needed)
}
