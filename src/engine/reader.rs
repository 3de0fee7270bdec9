//! Bytes from a stream, and the messages in them.

use std::{
    io, mem,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::AsyncRead;

use super::{budget::Budget, scratch};
use crate::{
    ProtocolError,
    io::{BoxIo, overrun},
    proto,
    proto::{Decoded, Decoder, Received},
};

/// Larger blocks would be read no faster, and each thread keeps its own.
const MAX_READ: u32 = 1024 * 1024;

/// A connection keeps the block it has read into if this part of it is unread at least; of less it
/// keeps a copy, which is soon made and leaves the block to others.
const MIN_KEPT: usize = 8;

/// Why there are no more messages.
pub(super) enum End {
    /// The peer broke the protocol: no byte may be decoded any more.
    Violation(ProtocolError),
    /// The stream ended.
    Stream,
    /// The stream failed.
    Failed(io::Error),
}

/// The side of a connection that reads.
#[derive(Debug)]
pub(super) struct Reader {
    decoder: Decoder,
    /// Bytes that were read behind a message are in here; no memory where there are none.
    buffer: Vec<u8>,
    /// Their place.
    unread: Range<u32>,
    /// Bytes that are asked of the stream in one read.
    size: u32,
    budget: Budget,
}

impl Reader {
    /// Makes the side of a connection of which `early` was read already.
    pub(super) fn new(decoder: Decoder, early: Vec<u8>, size: usize) -> Self {
        Self {
            decoder,
            unread: 0..place(early.len()),
            buffer: early,
            size: u32::try_from(size).unwrap_or(MAX_READ).clamp(1, MAX_READ),
            budget: Budget::default(),
        }
    }

    /// Comes to the next message, which is put in its place, or to the end of them.
    ///
    /// The place goes all the way down to where the message is made: it would be moved at each step
    /// otherwise, which costs more than all else that is done for a small one.
    #[inline]
    pub(super) fn poll(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
        received: &mut Received,
    ) -> Poll<Result<(), End>> {
        ready!(self.budget.poll_turn(cx));
        if !self.buffer.is_empty() {
            self.decode_unread(received).map_err(End::Violation)?;
        }
        while received.is_none() {
            ready!(self.budget.poll_turn(cx));
            ready!(self.poll_read(io, cx, received))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and discards what arrives, up to the end of the stream; an error if that fails.
    pub(super) fn poll_drain(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.forget();
        let budget = &mut self.budget;
        loop {
            ready!(budget.poll_turn(cx));
            let size = self.size as usize;
            let mut block = scratch::take(size);
            let read = poll_read(io, cx, &mut block[..size], budget);
            scratch::give(block);
            match ready!(read) {
                Ok(_) => {}
                Err(End::Failed(error)) => return Poll::Ready(Err(error)),
                Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    /// No message is wanted any more, not of what was read either.
    pub(super) fn forget(&mut self) {
        self.decoder.forget();
        self.give_unread();
    }

    fn give_unread(&mut self) {
        let buffer = mem::take(&mut self.buffer);
        // A block is no smaller, and of what was read into it a copy is never all.
        if buffer.len() < self.size as usize {
            proto::give(buffer);
        } else {
            scratch::give(buffer.into());
        }
    }

    #[inline]
    fn decode_unread(&mut self, received: &mut Received) -> Result<(), ProtocolError> {
        let Range { start, end } = self.unread;
        let unread = &mut self.buffer[start as usize..end as usize];
        let decoded = self.decoder.decode(unread, received)?;
        self.budget.spend(decoded.frames);
        self.unread.start += place(decoded.taken);
        if self.unread.is_empty() {
            self.give_unread();
        }
        Ok(())
    }

    /// Reads once and decodes the first message; what follows it is kept.
    fn poll_read(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
        received: &mut Received,
    ) -> Poll<Result<(), End>> {
        if let Some(spare) = self.decoder.direct_read_buffer() {
            let length = ready!(poll_read(io, cx, spare, &mut self.budget))?;
            let filled = self.decoder.fill_payload(length, received);
            return Poll::Ready(filled.map_err(End::Violation));
        }
        let size = self.size as usize;
        let mut block = scratch::take(size);
        let read = poll_read(io, cx, &mut block[..size], &mut self.budget);
        let Poll::Ready(Ok(length)) = read else {
            scratch::give(block);
            return read.map_ok(|_| ());
        };
        let decoded = self.decoder.decode(&mut block[..length], received);
        match decoded {
            Ok(Decoded { taken, frames }) => {
                self.budget.spend(frames);
                self.keep_unread(block, taken, length);
                Poll::Ready(Ok(()))
            }
            Err(violation) => {
                scratch::give(block);
                Poll::Ready(Err(End::Violation(violation)))
            }
        }
    }

    /// Keeps what is unread of a block: with it, or a copy if it is little or the block is needed.
    #[inline]
    fn keep_unread(&mut self, block: Box<[u8]>, start: usize, end: usize) {
        if start == end {
            scratch::give(block);
        } else if end - start >= block.len() / MIN_KEPT && scratch::can_spare(block.len()) {
            self.buffer = block.into();
            self.unread = place(start)..place(end);
        } else {
            self.buffer = proto::keep(&block[start..end]);
            self.unread = 0..place(end - start);
            scratch::give(block);
        }
    }
}

/// A place in a block, which has 1 MiB at most, or in what came with a head, which is less.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Reads one byte at least, and once more where a signal came in between.
fn poll_read(
    io: &mut BoxIo,
    cx: &mut Context<'_>,
    bytes: &mut [u8],
    budget: &mut Budget,
) -> Poll<Result<usize, End>> {
    loop {
        let read = Pin::new(&mut *io).poll_read(cx, bytes);
        budget.count(&read);
        match ready!(read) {
            Ok(0) => return Poll::Ready(Err(End::Stream)),
            Ok(length) if length > bytes.len() => return Poll::Ready(Err(End::Failed(overrun()))),
            Ok(length) => return Poll::Ready(Ok(length)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                ready!(budget.poll_turn(cx));
            }
            Err(error) => return Poll::Ready(Err(End::Failed(error))),
        }
    }
}
