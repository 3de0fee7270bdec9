//! What has to come back for a batch, checked as it arrives.

use crate::Result;
use crate::batch::Batch;
use crate::deflate::{Deflate, Unpacker};
use crate::pieces::{Piece, Pieces};
use crate::wire::{CONTINUATION, Header, PONG, Side};

/// How many bytes at the front of a piece of payload are compared, beside its last one. That is
/// all of a short message; comparing all of a long one would cost more than sending it.
const CHECKED: usize = 128;

const NO_MASK: [u8; 4] = [0; 4];

/// How far the reply to a batch has come.
#[derive(Debug)]
pub enum Reply {
    /// To a floor: the bytes as they were sent.
    Raw {
        received: usize,
    },
    Frames(Frames),
    Compressed(Box<Compressed>),
}

/// A reply in frames. The other side may cut a message, and answer a ping whenever it likes.
#[derive(Debug, Default)]
pub struct Frames {
    /// Messages and pongs that are complete.
    messages: usize,
    pongs: usize,
    /// Bytes of the current message that came, in the frames before and in this one.
    offset: usize,
    pong_offset: usize,
    is_continued: bool,
    pieces: Pieces,
}

/// A reply in compressed frames: what it takes on its way is counted elsewhere.
#[derive(Debug)]
pub struct Compressed {
    messages: usize,
    pieces: Pieces,
    is_continued: bool,
    /// Decompresses each message, which is compared then; `None` once it shall only be counted.
    unpacker: Option<Unpacker>,
    /// What came of the current message, and what it holds.
    packed: Vec<u8>,
    unpacked: Vec<u8>,
}

impl Reply {
    #[must_use]
    pub fn new(is_raw: bool) -> Self {
        if is_raw {
            Self::Raw { received: 0 }
        } else {
            Self::of(Side::Server)
        }
    }

    /// A reply in frames of this side.
    #[must_use]
    pub fn of(sender: Side) -> Self {
        Self::Frames(Frames::of(sender))
    }

    /// A reply in which every message is compressed.
    #[must_use]
    pub fn compressed(deflate: Deflate) -> Self {
        Self::Compressed(Box::new(Compressed {
            messages: 0,
            pieces: Pieces::default(),
            is_continued: false,
            unpacker: Some(Unpacker::new(deflate)),
            packed: Vec::new(),
            unpacked: Vec::new(),
        }))
    }

    /// Checks what arrived, and tells whether the reply to `batch` is complete.
    ///
    /// # Errors
    ///
    /// When anything else than the reply arrived.
    pub fn take(&mut self, batch: &Batch, bytes: &[u8]) -> Result<bool> {
        match self {
            Self::Raw { received } => {
                check(&batch.frames, *received, bytes, NO_MASK)?;
                *received += bytes.len();
                Ok(*received == batch.frames.len())
            }
            Self::Frames(frames) => frames.take(batch, bytes),
            Self::Compressed(compressed) => compressed.take(batch, bytes),
        }
    }

    /// Starts over for the next batch.
    pub fn reset(&mut self) {
        match self {
            Self::Raw { received } => *received = 0,
            Self::Frames(frames) => *frames = Frames::of(frames.pieces.sender()),
            // The codec goes on, for what it may have to keep.
            Self::Compressed(compressed) => compressed.messages = 0,
        }
    }

    /// From now on only counts compressed messages: to decompress all of them would cost about as
    /// much as what is measured.
    pub fn stop_unpacking(&mut self) {
        if let Self::Compressed(compressed) = self {
            compressed.unpacker = None;
        }
    }
}

impl Frames {
    fn of(sender: Side) -> Self {
        Self {
            pieces: Pieces::of(sender),
            ..Self::default()
        }
    }

    fn take(&mut self, batch: &Batch, mut bytes: &[u8]) -> Result<bool> {
        while let Some(piece) = self.pieces.take(&mut bytes)? {
            let header = piece.header;
            if header.is_compressed {
                return Err(format!("nobody has agreed to compress: {header:?}").into());
            }
            self.check_payload(batch, &piece)?;
            if piece.is_last {
                self.end_frame(batch, header)?;
            }
        }
        Ok(self.pieces.are_whole()
            && self.messages == batch.messages.len()
            && self.pongs == batch.pings.len())
    }

    fn check_payload(&mut self, batch: &Batch, piece: &Piece<'_>) -> Result<()> {
        let Piece {
            header,
            payload,
            mask,
            ..
        } = *piece;
        if header.opcode == PONG {
            let ping = batch.pings.get(self.pongs).ok_or("a pong too many")?;
            check(ping, self.pong_offset, payload, mask)?;
            self.pong_offset += payload.len();
            return Ok(());
        }
        let message = batch.messages.get(self.messages);
        let message = message.ok_or("a message too many")?;
        let expected = if self.is_continued {
            CONTINUATION
        } else {
            batch.opcode
        };
        if header.opcode != expected {
            return Err(format!("expected opcode {expected}, not {header:?}").into());
        }
        check(message, self.offset, payload, mask)?;
        self.offset += payload.len();
        Ok(())
    }

    fn end_frame(&mut self, batch: &Batch, header: Header) -> Result<()> {
        if header.opcode == PONG {
            if header.length != batch.pings[self.pongs].len() {
                return Err(format!("not the pong to the ping: {header:?}").into());
            }
            self.pongs += 1;
            self.pong_offset = 0;
            return Ok(());
        }
        self.is_continued = !header.is_final;
        if header.is_final {
            let expected = batch.messages[self.messages].len();
            if self.offset != expected {
                let length = self.offset;
                return Err(format!("a message of {length} bytes, not of {expected}").into());
            }
            self.offset = 0;
            self.messages += 1;
        }
        Ok(())
    }
}

impl Compressed {
    fn take(&mut self, batch: &Batch, mut bytes: &[u8]) -> Result<bool> {
        while let Some(piece) = self.pieces.take(&mut bytes)? {
            let header = piece.header;
            let expected = if self.is_continued {
                (CONTINUATION, false)
            } else {
                (batch.opcode, true)
            };
            if (header.opcode, header.is_compressed) != expected {
                return Err(format!("expected {expected:?}, not {header:?}").into());
            }
            if self.unpacker.is_some() {
                self.packed.extend_from_slice(piece.payload);
            }
            if piece.is_last {
                self.is_continued = !header.is_final;
                if header.is_final {
                    self.end_message(batch)?;
                }
            }
        }
        Ok(self.pieces.are_whole() && self.messages == batch.messages.len())
    }

    fn end_message(&mut self, batch: &Batch) -> Result<()> {
        let message = batch.messages.get(self.messages);
        let message = message.ok_or("a message too many")?;
        self.messages += 1;
        if let Some(unpacker) = &mut self.unpacker {
            self.unpacked.clear();
            self.unpacked.reserve(message.len() + 1);
            unpacker.unpack(&self.packed, &mut self.unpacked)?;
            self.packed.clear();
            if self.unpacked != *message {
                return Err("another message than was sent, once it is decompressed".into());
            }
        }
        Ok(())
    }
}

/// Compares what came with what should come from `offset` on, at both ends.
fn check(expected: &[u8], offset: usize, bytes: &[u8], mask: [u8; 4]) -> Result<()> {
    let expected = expected.get(offset..offset + bytes.len());
    let expected = expected.ok_or("a reply that is too long")?;
    let front = bytes.len().min(CHECKED);
    let is_as_sent = if mask == NO_MASK {
        expected[..front] == bytes[..front] && expected.last() == bytes.last()
    } else {
        let is_equal = |place: usize| expected[place] == bytes[place] ^ mask[place % 4];
        (0..front).chain(bytes.len().checked_sub(1)).all(is_equal)
    };
    if !is_as_sent {
        return Err(format!("other bytes than were sent, near byte {offset}").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::{Packer, Takeover};
    use crate::wire::{COMPRESSED, write_frame, write_message};

    fn batch() -> Batch {
        Batch {
            frames: vec![1, 2, 3],
            count: 2,
            opcode: 2,
            messages: vec![b"abc".to_vec(), b"de".to_vec()],
            pings: vec![b"p".to_vec()],
            next: 0,
        }
    }

    const ECHO: &[u8] = b"\x02\x01a\x8a\x01p\x80\x02bc\x82\x02de";

    #[test]
    fn a_reply_is_complete_at_its_last_byte() {
        for cut in 1..ECHO.len() {
            let mut reply = Reply::new(false);
            assert!(!reply.take(&batch(), &ECHO[..cut]).unwrap(), "cut at {cut}");
            assert!(reply.take(&batch(), &ECHO[cut..]).unwrap(), "cut at {cut}");
        }
    }

    #[test]
    fn one_wrong_byte_is_an_error_or_no_end() {
        for position in 0..ECHO.len() {
            let mut wrong = ECHO.to_vec();
            wrong[position] ^= 0x55;
            let complete = Reply::new(false).take(&batch(), &wrong);
            assert!(!complete.unwrap_or(false), "byte {position}");
        }
    }

    #[test]
    fn a_client_sends_the_same_masked() {
        let mut echo = Vec::new();
        write_frame(&mut echo, false, 2, [9, 8, 7, 6], b"a");
        write_frame(&mut echo, true, PONG, [5, 4, 3, 2], b"p");
        write_frame(&mut echo, true, CONTINUATION, [1, 2, 3, 4], b"bc");
        write_frame(&mut echo, true, 2, [0, 0, 0, 9], b"de");
        for cut in 1..echo.len() {
            let mut reply = Reply::of(Side::Client);
            assert!(!reply.take(&batch(), &echo[..cut]).unwrap(), "cut at {cut}");
            assert!(reply.take(&batch(), &echo[cut..]).unwrap(), "cut at {cut}");
            reply.reset();
            assert!(reply.take(&batch(), &echo).unwrap(), "after {cut}");
        }
        for position in 0..echo.len() {
            // A changed mask changes the payload, but where none is as long.
            let mut wrong = echo.clone();
            wrong[position] ^= 0x55;
            let complete = Reply::of(Side::Client).take(&batch(), &wrong);
            let is_unused = [3, 4, 5, 10, 11, 12, 18, 19, 26, 27].contains(&position);
            assert!(is_unused || !complete.unwrap_or(false), "byte {position}");
        }
        assert!(Reply::of(Side::Client).take(&batch(), ECHO).is_err());
    }

    #[test]
    fn a_byte_too_many_is_an_error() {
        assert!(Reply::new(true).take(&batch(), &[1, 2, 3, 4]).is_err());
        let more = [ECHO, b"\x82\x00"].concat();
        assert!(Reply::new(false).take(&batch(), &more).is_err());
    }

    #[test]
    fn a_floor_gives_back_what_was_sent() {
        let mut reply = Reply::new(true);
        assert!(!reply.take(&batch(), &[1, 2]).unwrap());
        assert!(reply.take(&batch(), &[3]).unwrap());
    }

    #[test]
    fn compressed_messages_are_compared_as_long_as_they_are_decompressed() {
        let takeover = Takeover::None;
        let deflate = Deflate { takeover, level: 1 };
        let mut batch = batch();
        batch.pings.clear();
        let mut echo = Vec::new();
        for message in &batch.messages {
            let mut packed = Vec::new();
            Packer::new(deflate).pack(message, &mut packed).unwrap();
            write_message(&mut echo, batch.opcode | COMPRESSED, &packed);
        }
        for cut in 1..echo.len() {
            let mut reply = Reply::compressed(deflate);
            assert!(!reply.take(&batch, &echo[..cut]).unwrap(), "cut at {cut}");
            assert!(reply.take(&batch, &echo[cut..]).unwrap(), "cut at {cut}");
        }
        assert!(Reply::new(false).take(&batch, &echo).is_err());

        batch.messages[0] = b"abd".to_vec();
        let mut reply = Reply::compressed(deflate);
        assert!(reply.take(&batch, &echo).is_err());
        let mut reply = Reply::compressed(deflate);
        reply.stop_unpacking();
        assert!(reply.take(&batch, &echo).unwrap());
        // A message that is not compressed.
        let plain = b"\x82\x03abc\x82\x02de";
        assert!(reply.take(&batch, plain).is_err());
    }
}
