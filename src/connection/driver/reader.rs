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
    life::Allowance,
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
    read: u32,
    budget: Budget,
    /// `None` if there are no rates.
    limit: Option<Box<Limit>>,
}

/// What the rates of a socket allow to receive.
#[derive(Debug, Default)]
struct Limit {
    allowance: Allowance,
    /// The unread bytes, while no message is allowed.
    held: Unread,
}

impl Reader {
    /// Creates the reading side of a connection from which `read_ahead` was already read.
    pub(super) fn new(read_ahead: Vec<u8>, size: usize) -> Self {
        Self {
            read: small(read_ahead.len()),
            unread: read_ahead.into(),
            size: u32::try_from(size)
                .unwrap_or(MAX_READ_SIZE)
                .clamp(1, MAX_READ_SIZE),
            budget: Budget::default(),
            limit: None,
        }
    }

    /// Reads until `received` holds a message or the stream ends. Is also pending, without waking
    /// the task, if it [is held](Self::is_held).
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
            if endpoint.is_inflating() {
                self.take_more(endpoint, received);
            } else {
                ready!(self.poll_read(io, endpoint, cx, received))?;
            }
        }
        if let Some(limit) = &mut self.limit {
            limit.count_message(&mut self.unread);
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
        mem::take(&mut self.read) as usize
    }

    /// Returns whether bytes were read that are not decoded yet, but may be.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Returns how much may still be received.
    pub(super) fn allowance(&self) -> Allowance {
        let limit = self.limit.as_ref();
        limit.map_or(Allowance::UNLIMITED, |limit| limit.allowance)
    }

    /// Sets how much may be received from now on.
    pub(super) fn allow(&mut self, allowance: Allowance) {
        let limit = self.limit.get_or_insert_default();
        limit.allowance = allowance;
        limit.hold(&mut self.unread);
    }

    /// Returns whether there are rates.
    #[inline]
    pub(super) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Returns whether nothing can be received before more is allowed.
    #[inline]
    pub(super) fn is_held(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| {
            let Allowance { messages, bytes } = limit.allowance;
            messages == 0 || (bytes == 0 && self.unread.is_empty())
        })
    }

    /// Discards the bytes that were read.
    pub(super) fn discard(&mut self) {
        self.unread.clear();
        self.limit = None;
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call costs 2 % of a small message")]
    fn take_unread(&mut self, endpoint: &mut Endpoint, received: &mut RecvSlot) {
        let decoded = endpoint.receive(self.unread.bytes_mut(), received);
        self.budget.spend(decoded.frames);
        self.unread.advance(decoded.taken);
    }

    /// Goes on with a message that was inflated in part.
    #[cold]
    fn take_more(&mut self, endpoint: &mut Endpoint, received: &mut RecvSlot) {
        self.take_unread(endpoint, received);
    }

    /// Reads once, as much as is allowed, and takes the first message. Keeps the bytes after it.
    #[inline(never)]
    fn poll_read(
        &mut self,
        io: &mut BoxIo,
        endpoint: &mut Endpoint,
        cx: &mut Context<'_>,
        received: &mut RecvSlot,
    ) -> Poll<Result<(), End>> {
        if self.limit.is_some() {
            return self.poll_read_allowed(io, endpoint, cx, received);
        }
        self.poll_read_some(usize::MAX, io, endpoint, cx, received)
    }

    #[cold]
    fn poll_read_allowed(
        &mut self,
        io: &mut BoxIo,
        endpoint: &mut Endpoint,
        cx: &mut Context<'_>,
        received: &mut RecvSlot,
    ) -> Poll<Result<(), End>> {
        let Allowance { messages, bytes } = self.allowance();
        if messages == 0 || bytes == 0 {
            return Poll::Pending;
        }
        let max = usize::try_from(bytes).unwrap_or(usize::MAX);
        let before = self.read;
        ready!(self.poll_read_some(max, io, endpoint, cx, received))?;
        let length = self.read.wrapping_sub(before);
        if let Some(limit) = &mut self.limit {
            limit.allowance.bytes -= u64::from(length);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads up to `max` bytes once.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "without rates, `max` is constant and costs nothing"
    )]
    fn poll_read_some(
        &mut self,
        max: usize,
        io: &mut BoxIo,
        endpoint: &mut Endpoint,
        cx: &mut Context<'_>,
        received: &mut RecvSlot,
    ) -> Poll<Result<(), End>> {
        if let Some(spare) = endpoint.direct_read_buffer() {
            let max = max.min(spare.len());
            let length = ready!(poll_read(io, cx, &mut spare[..max], &mut self.budget))?;
            self.read = self.read.wrapping_add(small(length));
            endpoint.receive_direct(length, received);
            return Poll::Ready(Ok(()));
        }
        let size = self.size as usize;
        let mut block = Block::take(size);
        let max = max.min(size);
        let length = ready!(poll_read(io, cx, &mut block[..max], &mut self.budget))?;
        let decoded = endpoint.receive(&mut block[..length], received);
        self.read = self.read.wrapping_add(small(length));
        self.budget.spend(decoded.frames);
        if decoded.taken < length {
            self.unread = Unread::keep(block, decoded.taken, length);
        }
        Poll::Ready(Ok(()))
    }
}

impl Limit {
    #[cold]
    fn count_message(&mut self, unread: &mut Unread) {
        self.allowance.messages -= 1;
        self.hold(unread);
    }

    /// Holds the `unread` bytes back if no message is allowed, else returns what was held back.
    fn hold(&mut self, unread: &mut Unread) {
        let (from, to) = match self.allowance.messages {
            0 => (unread, &mut self.held),
            _ => (&mut self.held, unread),
        };
        if !from.is_empty() {
            *to = mem::take(from);
        }
    }
}

/// Returns the length of a read, which is at most that of a block, or of a head.
#[inline]
fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
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
