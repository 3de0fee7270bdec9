//! What a connection keeps to inflate the messages that it receives.

use std::mem;

use flate2::{Decompress, FlushDecompress, Status};

use super::{
    Inflated,
    history::History,
    job::count,
    pool::{Block, Decompressor},
};
use crate::{config::Compression, proto::ProtocolError};

/// How many compressed bytes of a message are kept as they are until it is complete. A peer that
/// stops in the middle of a message then costs what it has sent, and no decompressor, which has 48
/// KiB.
const MAX_KEPT: usize = 64 * 1024;

/// How much more than needed is allocated for bytes that are kept.
const GROWTH: usize = 2 * 1024;

/// How much one call returns: a tenth of a millisecond's work. A runtime may poll a busy task some
/// sixty times before it looks at its streams again.
const SHARE: usize = 64 * 1024;

/// How many bytes take about as long as a new stream, which has to know the history. A peer may
/// start one with every second byte.
const STREAM: usize = 1024;

/// What follows the bytes of a message: the end of the flush that a message leaves out (RFC 7692,
/// section 7.2.2), and a last block without data, at which a decompressor says that the message
/// ended at the border of a block.
const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// Inflates the messages of a connection.
#[derive(Debug)]
pub(in crate::proto) struct Inflater {
    /// `None` if the peer takes nothing over.
    history: Option<Box<History>>,
    /// The incomplete message, once a part of it has arrived.
    message: Option<Box<Message>>,
}

/// A message that is arriving.
#[derive(Debug, Default)]
struct Message {
    /// How many bytes of it have arrived.
    len: usize,
    /// Those that are not inflated yet start at `taken`.
    kept: Vec<u8>,
    taken: usize,
    /// No more bytes will arrive.
    is_complete: bool,
    /// How many bytes of [`END`] were inflated.
    end: usize,
    /// A block was the last one of its stream (RFC 7692, section 7.2.3.4), and nothing has followed
    /// it yet.
    has_ended: bool,
    /// The decompressor may have more to return, though it has taken all bytes.
    holds_output: bool,
    codec: Option<Decompressor>,
}

impl Inflater {
    #[allow(
        clippy::unnecessary_wraps,
        reason = "without the feature, there is none"
    )]
    pub(in crate::proto) fn new(agreed: &Compression) -> Option<Self> {
        let history = agreed.peer_window.map(|bits| Box::new(History::new(bits)));
        Some(Self {
            history,
            message: None,
        })
    }

    /// Returns how many bytes of the current message have arrived.
    pub(in crate::proto) fn len(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.len)
    }

    /// Adds the next bytes of a message, which are its last ones if it `is_complete`.
    ///
    /// Plaintext goes to `out`, in pieces; the second argument is whether the message ends with
    /// this one. Also returns how many bytes of plaintext would have taken as long. Call
    /// [`resume`](Self::resume) after [`Inflated::Paused`].
    pub(in crate::proto) fn push(
        &mut self,
        bytes: &[u8],
        is_complete: bool,
        out: impl FnMut(&mut [u8], bool) -> Result<(), ProtocolError>,
    ) -> Result<(Inflated, usize), ProtocolError> {
        if let Some(message) = &mut self.message
            && !is_complete
            && message.has_room(bytes.len())
        {
            message.len += bytes.len();
            message.keep(bytes);
            return Ok((Inflated::Hungry, 0));
        }
        let mut message = self.take_message();
        message.len += bytes.len();
        message.is_complete = is_complete;
        if is_complete && message.len == 0 {
            // An empty message. A flush of nothing has no output, so there is nothing to inflate.
            return Ok((Inflated::Done, 0));
        }
        if message.kept.is_empty() && (is_complete || message.codec.is_some()) {
            let share = message.inflate(bytes, self.history.as_deref_mut(), out)?;
            message.keep(&bytes[share.taken..]);
            return Ok(self.put_back(message, &share));
        }
        message.keep(bytes);
        if !is_complete && message.has_room(0) {
            self.message = Some(Box::new(message));
            return Ok((Inflated::Hungry, 0));
        }
        self.inflate_kept(message, out)
    }

    /// Continues with a message after [`Inflated::Paused`].
    pub(in crate::proto) fn resume(
        &mut self,
        out: impl FnMut(&mut [u8], bool) -> Result<(), ProtocolError>,
    ) -> Result<(Inflated, usize), ProtocolError> {
        let message = self.take_message();
        self.inflate_kept(message, out)
    }

    /// Frees the part of a message that has arrived.
    pub(in crate::proto) fn discard(&mut self) {
        self.message = None;
    }

    fn inflate_kept(
        &mut self,
        mut message: Message,
        out: impl FnMut(&mut [u8], bool) -> Result<(), ProtocolError>,
    ) -> Result<(Inflated, usize), ProtocolError> {
        let kept = mem::take(&mut message.kept);
        let rest = &kept[message.taken..];
        let share = message.inflate(rest, self.history.as_deref_mut(), out)?;
        message.taken += share.taken;
        if message.taken < kept.len() {
            message.kept = kept;
        } else {
            message.taken = 0;
        }
        Ok(self.put_back(message, &share))
    }

    fn take_message(&mut self) -> Message {
        self.message.take().map_or_else(Message::default, |it| *it)
    }

    fn put_back(&mut self, message: Message, share: &Share) -> (Inflated, usize) {
        if share.inflated != Inflated::Done {
            self.message = Some(Box::new(message));
        }
        (share.inflated, share.work)
    }
}

impl Message {
    /// Returns whether so many bytes more are kept as they are. A few of them are not inflated one
    /// by one: a peer may send each in a frame.
    fn has_room(&self, bytes: usize) -> bool {
        let most = if self.codec.is_some() {
            GROWTH
        } else {
            MAX_KEPT
        };
        self.kept.len() + bytes <= most
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            if self.kept.capacity() - self.kept.len() < bytes.len() {
                self.kept.reserve_exact(bytes.len().max(GROWTH));
            }
            self.kept.extend_from_slice(bytes);
        }
    }

    /// Inflates `bytes`, and what follows them if the message is complete.
    fn inflate(
        &mut self,
        bytes: &[u8],
        history: Option<&mut History>,
        out: impl FnMut(&mut [u8], bool) -> Result<(), ProtocolError>,
    ) -> Result<Share, ProtocolError> {
        let mut output = Output::new(history, out);
        let mut rest = bytes;
        loop {
            if let Some(inflated) = self.state(rest.is_empty(), &mut output)? {
                output.pass_on(inflated == Inflated::Done)?;
                return Ok(Share {
                    taken: bytes.len() - rest.len(),
                    inflated,
                    work: output.work,
                });
            }
            let is_end = rest.is_empty() && self.is_complete;
            let input = if is_end { &END[self.end..] } else { rest };
            let codec = self
                .codec
                .get_or_insert_with(|| take_codec(output.history()));
            let (read, written, has_ended) = inflate(codec.codec(), input, output.spare())?;
            output.filled += written;
            self.holds_output = output.is_full();
            self.has_ended = has_ended;
            if is_end {
                self.end += read;
            } else {
                rest = &rest[read..];
            }
        }
    }

    /// Returns what the caller gets now, `None` if there is more to inflate.
    fn state<F>(
        &mut self,
        is_all_taken: bool,
        output: &mut Output<'_, F>,
    ) -> Result<Option<Inflated>, ProtocolError>
    where
        F: FnMut(&mut [u8], bool) -> Result<(), ProtocolError>,
    {
        if self.has_ended {
            let inflated = self.ended(is_all_taken)?;
            if inflated.is_some() {
                return Ok(inflated);
            }
            // The next stream may refer to what this one has returned.
            output.pass_on(false)?;
            output.work += STREAM;
            self.codec = None;
            self.has_ended = false;
        }
        if output.is_full() {
            output.pass_on(false)?;
        }
        if output.work >= SHARE {
            return Ok(Some(Inflated::Paused));
        }
        let has_input = !is_all_taken || (self.is_complete && self.end < END.len());
        match (has_input || self.holds_output, self.is_complete) {
            (true, _) => Ok(None),
            (false, false) => Ok(Some(Inflated::Hungry)),
            // Behind the end, the stream would have ended.
            (false, true) => Err(ProtocolError::InvalidDeflate),
        }
    }

    /// Returns what follows the last block of a stream, `None` for another stream.
    fn ended(&self, is_all_taken: bool) -> Result<Option<Inflated>, ProtocolError> {
        match (is_all_taken, self.is_complete) {
            (false, _) => Ok(None),
            (true, false) => Ok(Some(Inflated::Hungry)),
            // The message has ended with such a block, with the end of a flush, or with ours.
            (true, true) if matches!(self.end, 0 | 4 | 9) => Ok(Some(Inflated::Done)),
            (true, true) => Err(ProtocolError::InvalidDeflate),
        }
    }
}

/// What one call has done.
struct Share {
    /// How many compressed bytes were taken.
    taken: usize,
    inflated: Inflated,
    work: usize,
}

/// Where plaintext goes: through a block to the history and to the message.
struct Output<'a, F> {
    block: Block,
    filled: usize,
    /// How many bytes were passed on, and other work that takes as long.
    work: usize,
    history: Option<&'a mut History>,
    out: F,
}

impl<'a, F: FnMut(&mut [u8], bool) -> Result<(), ProtocolError>> Output<'a, F> {
    fn new(history: Option<&'a mut History>, out: F) -> Self {
        Self {
            block: Block::take(),
            filled: 0,
            work: 0,
            history,
            out,
        }
    }

    fn is_full(&self) -> bool {
        self.filled == self.block.len()
    }

    fn spare(&mut self) -> &mut [u8] {
        &mut self.block[self.filled..]
    }

    fn history(&self) -> Option<&History> {
        self.history.as_deref()
    }

    fn pass_on(&mut self, is_end: bool) -> Result<(), ProtocolError> {
        let plaintext = &mut self.block[..self.filled];
        self.work += plaintext.len();
        self.filled = 0;
        if let Some(history) = &mut self.history {
            history.push(plaintext);
        }
        if plaintext.is_empty() {
            return Ok(());
        }
        (self.out)(plaintext, is_end)
    }
}

/// Takes a decompressor that knows the history.
fn take_codec(history: Option<&History>) -> Decompressor {
    let mut codec = Decompressor::take();
    for part in history.into_iter().flat_map(History::parts) {
        // It fails only for a stream with a header.
        let _ = codec.codec().set_dictionary(part);
    }
    codec
}

/// Inflates once. Returns how many bytes were read and written, and whether the stream has ended.
fn inflate(
    codec: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
) -> Result<(usize, usize, bool), ProtocolError> {
    let (read, written) = (codec.total_in(), codec.total_out());
    let status = codec
        .decompress(input, output, FlushDecompress::None)
        .map_err(|_| ProtocolError::InvalidDeflate)?;
    let read = count(codec.total_in() - read);
    let written = count(codec.total_out() - written);
    let has_ended = status == Status::StreamEnd;
    if read + written == 0 && !input.is_empty() && !has_ended {
        // It would never get any further.
        return Err(ProtocolError::InvalidDeflate);
    }
    Ok((read, written, has_ended))
}
