//! Decodes bytes into frames, and frames into messages.

use std::mem;

use bytes::Bytes;

use super::assembler::Assembler;
use crate::{
    config::{Compression, TransportConfig},
    message::{Message, Role},
    proto::{
        ProtocolError, RecvSlot, close,
        deflate::Inflater,
        frame::{Header, OpCode},
        mask::Mask,
    },
};

/// The maximum number of fragments of a message: more than any peer needs, and few enough that a
/// peer cannot keep a thread busy with fragments of one byte.
const MAX_FRAGMENTS: u32 = 131_072;

/// The size of the pieces in which a payload is unmasked, checked and copied. A piece stays in the
/// processor's nearest cache from the first step to the last.
const DECODED_PIECE: usize = 16 * 1024;

/// The stream reads directly into the message while at least this much of a payload is still to
/// come. For less, there is no gain: such a read would miss the frames that follow.
const MIN_DIRECT_READ: usize = 32 * 1024;

/// Decodes the bytes of a peer into messages, in pieces of any size.
#[derive(Debug)]
pub(crate) struct Decoder {
    role: Role,
    accept_unmasked: bool,
    max_frame: usize,
    pub(super) max_message: usize,
    /// The frame whose header was read last. While some of its payload is still to come, no other
    /// frame starts.
    pub(super) frame: Frame,
    /// The data message that has arrived in part.
    pub(super) message: Option<Assembler>,
    /// The number of frames of that message; else of the last one, unless it was taken by
    /// [`take_data`](Self::take_data).
    fragments: u32,
    /// What `fragments` was at the last call of [`take_data`](Self::take_data).
    taken_fragments: u32,
    /// `None` if no compression was agreed.
    pub(super) inflater: Option<Box<Inflater>>,
    /// The message that is arriving is compressed.
    pub(super) is_compressed: bool,
    /// More of it comes out before anything else is decoded.
    pub(super) is_inflating: bool,
    pong: Pong,
    /// The part of a header, or of a control frame's payload, that has arrived.
    part: Vec<u8>,
}

/// The bytes and frames that one call of [`Decoder::decode`] has consumed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decoded {
    /// How many bytes were consumed: all of them, if no message ends in them, unless the decoder
    /// [is inflating](Decoder::is_inflating).
    pub(crate) taken: usize,
    /// How many frames started in them, and other work that costs as much.
    pub(crate) frames: u32,
}

/// The length of the payload of a ping that this end sends by itself.
pub(crate) const PING_LEN: usize = 4;

/// The answer to a ping that this end has sent by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pong {
    None,
    Awaited([u8; PING_LEN]),
    Received,
}

/// A frame that is arriving.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    opcode: OpCode,
    fin: bool,
    mask: Option<Mask>,
    /// How many bytes of payload are still to come.
    remaining: usize,
}

impl Frame {
    /// Returns the length of the whole message if `length` bytes of it have arrived and this frame
    /// is its last one; otherwise the limit.
    fn max_len(&self, length: usize, limit: usize) -> usize {
        if self.fin {
            length.saturating_add(self.remaining)
        } else {
            limit
        }
    }

    /// Unmasks the next bytes of the payload in place.
    #[inline]
    pub(super) fn unmask(&mut self, bytes: &mut [u8]) {
        if let Some(mask) = &mut self.mask {
            mask.apply(bytes);
        }
    }

    /// Returns whether the message is complete.
    pub(super) fn is_last(&self) -> bool {
        self.fin && self.remaining == 0
    }
}

impl Decoder {
    pub(crate) fn new(
        role: Role,
        limits: &TransportConfig,
        compression: Option<&Compression>,
    ) -> Self {
        Self {
            role,
            accept_unmasked: limits.accept_unmasked_frames,
            max_frame: limit(limits.max_frame_size),
            max_message: limit(limits.max_message_size),
            frame: Frame {
                opcode: OpCode::Continuation,
                fin: false,
                mask: None,
                remaining: 0,
            },
            message: None,
            fragments: 0,
            taken_fragments: 0,
            inflater: compression.and_then(Inflater::new).map(Box::new),
            is_compressed: false,
            is_inflating: false,
            pong: Pong::None,
            part: Vec::new(),
        }
    }

    /// Consumes bytes up to the end of the first message, and puts that message into `received`.
    ///
    /// The bytes may change: payloads are unmasked in place. After an error, nothing more can be
    /// decoded.
    pub(crate) fn decode<E>(
        &mut self,
        bytes: &mut [u8],
        received: &mut RecvSlot<E>,
    ) -> Result<Decoded, ProtocolError> {
        if self.is_inflating {
            return self.resume(bytes, received);
        }
        let mut decoded = Decoded::default();
        while received.is_none() {
            if self.frame.remaining == 0 {
                let (length, has_begun) = self.decode_header(&bytes[decoded.taken..])?;
                decoded.taken += length;
                if !has_begun {
                    break;
                }
                decoded.frames += 1;
            }
            let rest = &mut bytes[decoded.taken..];
            let frame = &mut self.frame;
            let length = frame.remaining.min(DECODED_PIECE).min(rest.len());
            if length == 0 && frame.remaining > 0 {
                break;
            }
            (decoded.taken, frame.remaining) = (decoded.taken + length, frame.remaining - length);
            let piece = &mut rest[..length];
            if frame.opcode.is_control() {
                self.push_control(piece, received)?;
            } else if frame.is_last() && self.message.is_none() {
                Assembler::whole(frame.opcode, piece, frame.mask, received)?;
                break;
            } else {
                decoded.frames += self.push_part(piece, received)?;
                if self.is_inflating {
                    break;
                }
            }
        }
        Ok(decoded)
    }

    /// Frees the part of a message that has arrived: nothing more will be decoded.
    pub(crate) fn discard(&mut self) {
        self.message = None;
        self.part = Vec::new();
        self.is_inflating = false;
        if let Some(inflater) = &mut self.inflater {
            inflater.discard();
        }
    }

    /// Returns whether compression was agreed.
    pub(crate) fn has_compression(&self) -> bool {
        self.inflater.is_some()
    }

    /// Returns whether a message has been inflated in part. Call [`decode`](Self::decode) again, in
    /// another turn, also if there are no more bytes.
    pub(crate) fn is_inflating(&self) -> bool {
        self.is_inflating
    }

    /// Awaits the answer to a ping that this end sends by itself. It is not a message.
    pub(crate) fn expect_pong(&mut self, payload: [u8; PING_LEN]) {
        self.pong = Pong::Awaited(payload);
    }

    /// Returns whether that answer has arrived, once.
    pub(crate) fn take_pong(&mut self) -> bool {
        let is_received = self.pong == Pong::Received;
        if is_received {
            self.pong = Pong::None;
        }
        is_received
    }

    /// Returns whether part of a data message has arrived since the last call, if anything has
    /// arrived since (`has_read`).
    ///
    pub(crate) fn take_data(&mut self, has_read: bool) -> bool {
        if self.message.is_none() {
            return mem::take(&mut self.fragments) > 0;
        }
        let is_longer = has_read && !self.frame.opcode.is_control();
        let taken = mem::replace(&mut self.taken_fragments, self.fragments);
        is_longer || taken != self.fragments
    }

    /// While a large binary payload is arriving into a pooled buffer, returns its free part, for
    /// the stream to read into directly.
    pub(crate) fn direct_read_buffer(&mut self) -> Option<&mut [u8]> {
        let frame = &self.frame;
        if frame.remaining < MIN_DIRECT_READ || self.is_compressed {
            return None;
        }
        let assembler = self.message.as_mut()?;
        let max_len = frame.max_len(assembler.len(), self.max_message);
        assembler.direct_read_buffer(frame.remaining, max_len)
    }

    /// Accepts `length` bytes that the stream has read into the
    /// [`direct_read_buffer`](Self::direct_read_buffer).
    pub(crate) fn push_direct<E>(
        &mut self,
        length: usize,
        received: &mut RecvSlot<E>,
    ) -> Result<(), ProtocolError> {
        if let Some(assembler) = &mut self.message {
            assembler.push_direct(length, self.frame.mask.as_mut());
            self.frame.remaining -= length;
        }
        self.finish_last(received)
    }

    /// Reads the header of the next frame, which may have started in earlier bytes, and starts the
    /// frame once the header is complete. Returns how many bytes it consumed, and whether the frame
    /// has started.
    #[inline]
    fn decode_header(&mut self, bytes: &[u8]) -> Result<(usize, bool), ProtocolError> {
        if self.part.is_empty()
            && let Some((header, length)) = Header::parse(bytes)?
        {
            self.begin(&header)?;
            return Ok((length, true));
        }
        self.decode_cut_header(bytes)
    }

    /// Reads a header that arrives in several pieces.
    #[cold]
    fn decode_cut_header(&mut self, bytes: &[u8]) -> Result<(usize, bool), ProtocolError> {
        let before = self.part.len();
        let added = bytes.len().min(Header::MAX_LEN - before);
        self.part.extend_from_slice(&bytes[..added]);
        let Some((header, length)) = Header::parse(&self.part)? else {
            return Ok((added, false));
        };
        self.part = Vec::new();
        self.begin(&header)?;
        Ok((length - before, true))
    }

    /// Checks a frame by its header alone, and starts it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call costs 2 % of a small message")]
    fn begin(&mut self, header: &Header) -> Result<(), ProtocolError> {
        if header.reserved != 0 {
            self.check_reserved(header)?;
        }
        match (self.role, header.key) {
            (Role::Server, None) if !self.accept_unmasked => {
                return Err(ProtocolError::UnmaskedFrame);
            }
            (Role::Client, Some(_)) => return Err(ProtocolError::MaskedFrame),
            _ => {}
        }
        // A length that does not fit exceeds every limit: see `limit`.
        let remaining = usize::try_from(header.length).unwrap_or(usize::MAX);
        if !header.opcode.is_control() {
            self.begin_data(header.opcode, remaining)?;
        }
        self.frame = Frame {
            opcode: header.opcode,
            fin: header.fin,
            mask: header.key.map(Mask::new),
            remaining,
        };
        Ok(())
    }

    /// Checks the position of a data frame in its message, and its length.
    #[inline]
    fn begin_data(&mut self, opcode: OpCode, length: usize) -> Result<(), ProtocolError> {
        let before = match (opcode, &self.message) {
            (OpCode::Continuation, None) => return Err(ProtocolError::UnexpectedContinuation),
            (OpCode::Continuation, Some(message)) => {
                self.fragments += 1;
                if self.fragments > MAX_FRAGMENTS {
                    return Err(ProtocolError::TooManyFragments(MAX_FRAGMENTS));
                }
                message.len()
            }
            (_, Some(_)) => return Err(ProtocolError::ExpectedContinuation),
            (_, None) => {
                self.fragments = 1;
                0
            }
        };
        at_most(length, self.max_frame)?;
        if self.is_compressed {
            return self.begin_compressed(opcode, length);
        }
        at_most(before.saturating_add(length), self.max_message)
    }

    #[inline(never)]
    fn push_control<E>(
        &mut self,
        piece: &mut [u8],
        received: &mut RecvSlot<E>,
    ) -> Result<(), ProtocolError> {
        self.frame.unmask(piece);
        if self.frame.remaining > 0 {
            self.part.extend_from_slice(piece);
            Ok(())
        } else if self.part.is_empty() {
            self.finish_control(piece, received)
        } else {
            let mut payload = mem::take(&mut self.part);
            payload.extend_from_slice(piece);
            self.finish_control(&payload, received)
        }
    }

    fn finish_control<E>(
        &mut self,
        payload: &[u8],
        received: &mut RecvSlot<E>,
    ) -> Result<(), ProtocolError> {
        let opcode = self.frame.opcode;
        if let Pong::Awaited(expected) = self.pong
            && opcode == OpCode::Pong
            && payload == expected
        {
            self.pong = Pong::Received;
            return Ok(());
        }
        *received = Some(Ok(control_message(opcode, payload)?));
        Ok(())
    }

    /// Adds a piece to a message that is compressed or arrives in several pieces. Returns how many
    /// frames' work that was.
    #[inline(never)]
    fn push_part<E>(
        &mut self,
        piece: &mut [u8],
        received: &mut RecvSlot<E>,
    ) -> Result<u32, ProtocolError> {
        if self.is_compressed {
            return self.push_compressed(piece, received);
        }
        let frame = &mut self.frame;
        let assembler = self
            .message
            .get_or_insert_with(|| Assembler::new(frame.opcode));
        let max_len = frame.max_len(assembler.len() + piece.len(), self.max_message);
        assembler.push(piece, frame.mask.as_mut(), max_len)?;
        self.finish_last(received)?;
        Ok(0)
    }

    /// Completes the message if its last frame has arrived whole.
    pub(super) fn finish_last<E>(
        &mut self,
        received: &mut RecvSlot<E>,
    ) -> Result<(), ProtocolError> {
        if self.frame.is_last()
            && let Some(assembler) = self.message.take()
        {
            *received = Some(Ok(assembler.finish()?));
        }
        Ok(())
    }
}

/// Caps a limit at what memory can hold in one piece: a 64-bit length can exceed that on a 32-bit
/// processor.
fn limit(max: usize) -> usize {
    max.min(isize::MAX.unsigned_abs())
}

pub(super) fn at_most(size: usize, limit: usize) -> Result<(), ProtocolError> {
    if size > limit {
        return Err(ProtocolError::TooLarge { size, limit });
    }
    Ok(())
}

fn control_message(opcode: OpCode, payload: &[u8]) -> Result<Message, ProtocolError> {
    Ok(match opcode {
        OpCode::Close => Message::Close(close::parse(payload)?),
        OpCode::Ping => Message::Ping(Bytes::copy_from_slice(payload)),
        _ => Message::Pong(Bytes::copy_from_slice(payload)),
    })
}
