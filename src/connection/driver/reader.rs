//! Reads bytes from a stream, and the messages in them.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::AsyncRead;

use super::{RecvSlot, budget::Budget};
use crate::{
    io::{BoxIo, overrun},
    proto::{
        Endpoint,
        buffer::{Block, Unread},
    },
};

/// Larger blocks would not be read faster, and each thread keeps its own.
const MAX_READ_SIZE: u32 = 1024 * 1024;

/// Why no more bytes will arrive.
pub(super) enum End {
    /// The stream ended.
    Stream,
    /// The stream failed.
    Failed(io::Error),
}

/// The side of a connection that reads.
#[derive(Debug)]
pub(super) struct Reader {
    /// The bytes that were read after a message.
    unread: Unread,
    /// How many bytes one read requests from the stream.
    size: u32,
    /// The number of bytes that were read since this was asked last; it wraps.
    read: usize,
    budget: Budget,
}

impl Reader {
    /// Creates the reading side of a connection from which `read_ahead` was already read.
    pub(super) fn new(read_ahead: Vec<u8>, size: usize) -> Self {
        Self {
            read: read_ahead.len(),
            unread: read_ahead.into(),
            size: u32::try_from(size)
                .unwrap_or(MAX_READ_SIZE)
                .clamp(1, MAX_READ_SIZE),
            budget: Budget::default(),
        }
    }

    /// Reads until `received` holds a message or the stream ends.
    #[inline]
    pub(super) fn poll(
        &mut self,
        io: &mut BoxIo,
        endpoint: &mut Endpoint,
        cx: &mut Context<'_>,
        received: &mut RecvSlot,
    ) -> Poll<Result<(), End>> {
        ready!(self.budget.poll_turn(cx));
        if !self.unread.is_empty() {
            self.take_unread(endpoint, received);
        }
        while received.is_none() {
            ready!(self.budget.poll_turn(cx));
            ready!(self.poll_read(io, endpoint, cx, received))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and discards what arrives, until the stream ends. Returns an error if the stream
    /// fails.
    pub(super) fn poll_drain(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.discard();
        let budget = &mut self.budget;
        loop {
            ready!(budget.poll_turn(cx));
            let size = self.size as usize;
            let mut block = Block::take(size);
            match ready!(poll_read(io, cx, &mut block[..size], budget)) {
                Ok(_) => {}
                Err(End::Failed(error)) => return Poll::Ready(Err(error)),
                Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Returns whether bytes were read since [`take_read`](Self::take_read).
    pub(super) fn has_read(&self) -> bool {
        self.read > 0
    }

    /// Returns how many bytes were read since the last call: at most those of a turn and of a read,
    /// if it is called whenever the task waits.
    pub(super) fn take_read(&mut self) -> usize {
        mem::take(&mut self.read)
    }

    /// Returns whether bytes were read that are not decoded yet.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Discards the bytes that were read.
    pub(super) fn discard(&mut self) {
        self.unread.clear();
    }

    #[inline]
    fn take_unread(&mut self, endpoint: &mut Endpoint, received: &mut RecvSlot) {
        let decoded = endpoint.receive(self.unread.bytes_mut(), received);
        self.budget.spend(decoded.frames);
        self.unread.advance(decoded.taken);
    }

    /// Reads once and takes the first message. Keeps the bytes after it.
    fn poll_read(
        &mut self,
        io: &mut BoxIo,
        endpoint: &mut Endpoint,
        cx: &mut Context<'_>,
        received: &mut RecvSlot,
    ) -> Poll<Result<(), End>> {
        if let Some(spare) = endpoint.direct_read_buffer() {
            let length = ready!(poll_read(io, cx, spare, &mut self.budget))?;
            self.read = self.read.wrapping_add(length);
            endpoint.receive_direct(length, received);
            return Poll::Ready(Ok(()));
        }
        let size = self.size as usize;
        let mut block = Block::take(size);
        let length = ready!(poll_read(io, cx, &mut block[..size], &mut self.budget))?;
        let decoded = endpoint.receive(&mut block[..length], received);
        self.read = self.read.wrapping_add(length);
        self.budget.spend(decoded.frames);
        if decoded.taken < length {
            self.unread = Unread::keep(block, decoded.taken, length);
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads at least one byte.
#[inline]
fn poll_read(
    io: &mut BoxIo,
    cx: &mut Context<'_>,
    bytes: &mut [u8],
    budget: &mut Budget,
) -> Poll<Result<usize, End>> {
    let read = Pin::new(&mut *io).poll_read(cx, bytes);
    budget.count(&read);
    match ready!(read) {
        Ok(length) if (1..=bytes.len()).contains(&length) => Poll::Ready(Ok(length)),
        other => poll_read_again(other, io, cx, bytes, budget),
    }
}

/// Reads again if a signal interrupted the read; otherwise the stream has ended.
#[cold]
fn poll_read_again(
    mut read: io::Result<usize>,
    io: &mut BoxIo,
    cx: &mut Context<'_>,
    bytes: &mut [u8],
    budget: &mut Budget,
) -> Poll<Result<usize, End>> {
    loop {
        match read {
            Ok(0) => return Poll::Ready(Err(End::Stream)),
            Ok(length) if length > bytes.len() => return Poll::Ready(Err(End::Failed(overrun()))),
            Ok(length) => return Poll::Ready(Ok(length)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                ready!(budget.poll_turn(cx));
            }
            Err(error) => return Poll::Ready(Err(End::Failed(error))),
        }
        let again = Pin::new(&mut *io).poll_read(cx, bytes);
        budget.count(&again);
        read = ready!(again);
    }
}
