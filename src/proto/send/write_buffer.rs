//! Frames that are not yet written.

use std::{collections::VecDeque, io::IoSlice, mem};

use bytes::{Buf, Bytes};

use super::{outgoing::Outgoing, pongs::Pongs};
use crate::{
    message::Role,
    proto::{
        buffer::FrameBuf,
        copy,
        frame::{Header, OpCode, RSV1},
        mask::{Key, Mask},
    },
};

/// A payload of at least this length keeps its own memory; a shorter one is copied.
const MIN_UNCOPIED: usize = 4 * 1024;

/// The same for a client. It masks on the way, which costs about as much as a copy, and a write of
/// one slice costs the kernel less than one of two.
const MIN_UNCOPIED_MASKED: usize = 64 * 1024;

/// How much of a large payload is buffered together with its header if a stream accepts one slice
/// at a time: enough that no write is small.
const FIRST_PART: usize = 16 * 1024;

/// How many bytes are copied and masked at a time: they stay in the nearest cache, and a larger
/// copy may be slow, as [`copy`] says.
const MASKED_PIECE: usize = copy::STEP;

/// Once more bytes than this were written at the start of the buffer, the rest moves to the front.
const MAX_WRITTEN: usize = 4 * 1024;

/// The maximum number of fragments of a message that is sent: half of what this crate accepts, for
/// peers that accept less. Fragments of longer messages are longer than the setting.
const MAX_FRAGMENTS_SENT: usize = 65_536;

/// The maximum number of slices in one write. A stream that accepts several takes these with one
/// call.
pub(crate) const MAX_SLICES: usize = 16;

/// The frames to write, in order.
///
/// Small frames are stored one after another in one buffer. Large payloads are stored separately,
/// with their position in that buffer.
#[derive(Debug)]
pub(crate) struct WriteBuffer {
    role: Role,
    small: FrameBuf,
    /// How many bytes of `small` were written.
    written: usize,
    large: VecDeque<Large>,
    /// How many bytes are not yet written.
    len: usize,
    pongs: Pongs,
    /// How many control frames were buffered since this was asked last.
    control: u16,
    /// The stream accepts only the first slice of a write.
    is_write_single: bool,
}

#[derive(Debug)]
struct Large {
    /// The position in `small` that the payload follows.
    at: usize,
    payload: Bytes,
}

impl WriteBuffer {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            small: FrameBuf::default(),
            written: 0,
            large: VecDeque::new(),
            len: 0,
            pongs: Pongs::default(),
            control: 0,
            is_write_single: false,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many bytes are not yet written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns how many bytes of the user are not yet written.
    #[inline]
    pub(crate) fn buffered(&self) -> usize {
        self.len - self.pongs.len()
    }

    /// Returns how many bytes of pings have arrived since a pong has been waiting for space.
    #[inline]
    pub(crate) fn unanswered_pings(&self) -> usize {
        self.pongs.unanswered()
    }

    /// Buffers a message, in fragments if it is longer than `fragment` bytes. Returns the number of
    /// frames.
    #[inline]
    pub(crate) fn push(&mut self, message: &mut Outgoing, fragment: usize) -> u32 {
        let mut frames = 1;
        if message.payload.len() > fragment {
            frames += self.push_parts(message, fragment);
        }
        self.push_frame::<0>(message.opcode, &mut message.payload, true);
        frames
    }

    /// Buffers a short message that others send, too: its payload is copied in any case, so it need
    /// not be shared before. Returns whether the message is short.
    pub(crate) fn push_short(&mut self, message: &Outgoing, fragment: usize) -> bool {
        let payload = &message.payload;
        let is_short = payload.len() < MIN_UNCOPIED && payload.len() <= fragment;
        if is_short {
            let key = self.push_header::<0>(message.opcode, payload.len(), true, true);
            extend_masked(&mut self.small, payload, key);
        }
        is_short
    }

    /// Does the same with a compressed message: its first frame says so (RFC 7692, section 6).
    pub(crate) fn push_compressed(&mut self, message: &mut Outgoing, fragment: usize) -> u32 {
        if message.payload.len() <= fragment {
            self.push_frame::<RSV1>(message.opcode, &mut message.payload, true);
            return 1;
        }
        let mut first = message.payload.split_to(fragment);
        self.push_frame::<RSV1>(message.opcode, &mut first, false);
        message.opcode = OpCode::Continuation;
        1 + self.push(message, fragment)
    }

    /// Buffers all fragments of a message except the last, which stays in `message`. Returns their
    /// number.
    #[cold]
    fn push_parts(&mut self, message: &mut Outgoing, fragment: usize) -> u32 {
        let length = message.payload.len();
        let fragment = fragment.max(length.div_ceil(MAX_FRAGMENTS_SENT));
        let mut frames = 0;
        while message.payload.len() > fragment {
            frames += 1;
            let mut part = message.payload.split_to(fragment);
            self.push_frame::<0>(message.opcode, &mut part, false);
            message.opcode = OpCode::Continuation;
        }
        frames
    }

    /// Buffers a control frame, which is never fragmented (RFC 6455, section 5.5).
    pub(crate) fn push_control(&mut self, message: &mut Outgoing) {
        self.control = self.control.saturating_add(1);
        self.push_frame::<0>(message.opcode, &mut message.payload, true);
    }

    /// Returns how many control frames were buffered since the last call.
    pub(crate) fn take_control(&mut self) -> u16 {
        mem::take(&mut self.control)
    }

    /// Returns whether one more pong can be buffered.
    #[inline]
    pub(crate) fn has_pong_room(&self) -> bool {
        self.pongs.has_room()
    }

    /// Returns whether the task has to yield, once, before a missing space for a pong counts.
    pub(crate) fn yields_for_pongs(&mut self) -> bool {
        self.pongs.yields()
    }

    /// Buffers the answer to a ping, or keeps it until there is space for it.
    pub(crate) fn push_pong(&mut self, payload: Bytes) {
        if self.pongs.has_room() {
            self.push_pong_frame(payload);
        } else {
            self.pongs.wait(payload);
        }
    }

    /// Buffers the waiting answer as the last one.
    pub(crate) fn push_last_pong(&mut self) {
        if let Some(payload) = self.pongs.take_waiting() {
            self.push_pong_frame(payload);
        }
    }

    /// Discards the waiting answer: a peer that has closed needs none.
    pub(crate) fn discard_waiting_pong(&mut self) {
        self.pongs.take_waiting();
    }

    fn push_pong_frame(&mut self, mut payload: Bytes) {
        let before = self.len;
        self.control = self.control.saturating_add(1);
        self.push_frame::<0>(OpCode::Pong, &mut payload, true);
        self.pongs.add(self.len - before, self.len);
    }

    /// Buffers a frame. Takes a large payload out of `payload`.
    #[inline]
    fn push_frame<const RESERVED: u8>(&mut self, opcode: OpCode, payload: &mut Bytes, fin: bool) {
        let min_uncopied = match self.role {
            Role::Server => MIN_UNCOPIED,
            Role::Client => MIN_UNCOPIED_MASKED,
        };
        let is_copied = payload.len() < min_uncopied;
        let key = self.push_header::<RESERVED>(opcode, payload.len(), fin, is_copied);
        if is_copied {
            extend_masked(&mut self.small, payload, key);
        } else {
            self.push_large(mem::take(payload), key);
        }
    }

    /// Buffers the header of a frame, and makes space for a payload that is copied. Returns the key
    /// of a client's frame.
    ///
    /// The reserved bits are a parameter of the type, because most messages have none, and would
    /// pay for the question.
    #[inline]
    fn push_header<const RESERVED: u8>(
        &mut self,
        opcode: OpCode,
        length: usize,
        fin: bool,
        is_copied: bool,
    ) -> Option<Key> {
        let key = match self.role {
            Role::Server => None,
            Role::Client => Some(Key::random()),
        };
        let header = Header {
            fin,
            reserved: RESERVED,
            opcode,
            key,
            length: length as u64,
        };
        if self.small.spare() < Header::MAX_LEN + length {
            self.make_room(if is_copied { length } else { 0 });
        }
        let before = self.small.len();
        header.write(&mut self.small);
        self.len += self.small.len() - before + length;
        key
    }

    /// Makes space for the header of the next frame, and for as much of its payload as is copied.
    #[inline(never)]
    fn make_room(&mut self, copied: usize) {
        self.small.reserve(Header::MAX_LEN + copied);
    }

    #[inline(never)]
    fn push_large(&mut self, mut payload: Bytes, key: Option<Key>) {
        if let Some(key) = key {
            payload = masked(payload, key);
        }
        if self.is_write_single {
            let first = payload.split_to(payload.len().min(FIRST_PART));
            self.small.reserve(first.len());
            copy::extend(&mut self.small, &first);
        }
        if !payload.is_empty() {
            let at = self.small.len();
            self.large.push_back(Large { at, payload });
        }
    }

    /// Returns the bytes to write next, if they are one slice.
    pub(crate) fn only_slice(&self) -> Option<&[u8]> {
        match self.large.front() {
            None => Some(&self.small[self.written..]),
            Some(large) if self.len == large.payload.len() => Some(&large.payload),
            Some(_) => None,
        }
    }

    /// Fills in the slices to write next. Returns how many there are.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut add = |bytes: &'a [u8]| {
            if let Some(slice) = slices.get_mut(count).filter(|_| !bytes.is_empty()) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
        };
        let mut from = self.written;
        for large in self.large.iter().take(MAX_SLICES) {
            add(&self.small[from..large.at]);
            add(&large.payload);
            from = large.at;
        }
        add(&self.small[from..]);
        count
    }

    /// Records how many bytes a write of several slices has taken; `first` is the length of the
    /// first.
    pub(crate) fn note_slices(&mut self, taken: usize, first: usize) {
        // The last write counts: one that ends after the first slice may have been a partial one.
        if taken >= first {
            self.is_write_single = taken == first;
        }
    }

    /// Removes the first `taken` bytes, which were written. If that makes space for a waiting pong,
    /// the pong is buffered.
    pub(crate) fn advance(&mut self, taken: usize) {
        self.pongs.advance(taken);
        self.len -= taken;
        if self.len == 0 {
            self.release();
        } else {
            self.remove_front(taken);
        }
        if self.pongs.unanswered() > 0 && self.pongs.has_room() {
            self.push_last_pong();
        }
    }

    fn remove_front(&mut self, mut taken: usize) {
        while taken > 0 {
            let end = self
                .large
                .front()
                .map_or(self.small.len(), |large| large.at);
            let small = taken.min(end - self.written);
            self.written += small;
            taken -= small;
            if let Some(large) = self.large.front_mut().filter(|_| taken > 0) {
                let length = taken.min(large.payload.len());
                large.payload.advance(length);
                taken -= length;
                if large.payload.is_empty() {
                    self.large.pop_front();
                }
            }
        }
        self.compact();
    }

    /// Discards everything: nothing more will be written.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.pongs = Pongs::default();
        self.release();
    }

    /// Releases all memory.
    fn release(&mut self) {
        self.written = 0;
        if self.large.capacity() > 0 {
            self.large = VecDeque::new();
        }
        self.small.release();
    }

    /// Removes the written bytes when they are most of the buffer. Each byte is then moved at most
    /// once on average, and a small rest does not hold a large buffer.
    fn compact(&mut self) {
        let is_half = self.written >= MAX_WRITTEN.max(self.small.len() / 2);
        if is_half || self.small.is_oversized_behind(self.written) {
            self.small.remove_front(self.written);
            for large in &mut self.large {
                large.at -= self.written;
            }
            self.written = 0;
        }
    }
}

/// Masks a payload: in its own memory if nobody else has it.
fn masked(payload: Bytes, key: Key) -> Bytes {
    match payload.try_into_mut() {
        Ok(mut payload) => {
            Mask::new(key).apply(&mut payload);
            payload.freeze()
        }
        Err(payload) => {
            let mut copy = Vec::with_capacity(payload.len());
            extend_by_key(&mut copy, &payload, key);
            copy.into()
        }
    }
}

/// Appends a copy of a payload, and masks it on the way.
#[inline]
fn extend_masked(bytes: &mut Vec<u8>, payload: &[u8], key: Option<Key>) {
    match key {
        Some(key) => extend_by_key(bytes, payload, key),
        None => copy::extend(bytes, payload),
    }
}

#[inline(never)]
fn extend_by_key(bytes: &mut Vec<u8>, payload: &[u8], key: Key) {
    let mut mask = Mask::new(key);
    for piece in payload.chunks(MASKED_PIECE) {
        let start = bytes.len();
        bytes.extend_from_slice(piece);
        mask.apply(&mut bytes[start..]);
    }
}
