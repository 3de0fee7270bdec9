//! Bytes from a stream, and the messages in them.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::AsyncRead;

use super::{budget::Budget, scratch};
use crate::{Message, ProtocolError, io::BoxIo, proto, proto::Decoder};

/// Larger blocks would be read no faster, and each thread keeps its own.
const MAX_READ: u32 = 1024 * 1024;

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
    /// Bytes that were read behind a message, from `taken` on; no memory where there are none.
    unread: Vec<u8>,
    taken: usize,
    /// Bytes that are asked of the stream in one read.
    size: u32,
    budget: Budget,
}

impl Reader {
    /// Makes the side of a connection of which `early` was read already.
    pub(super) fn new(decoder: Decoder, early: Vec<u8>, size: usize) -> Self {
        Self {
            decoder,
            unread: early,
            taken: 0,
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
        message: &mut Option<Message>,
    ) -> Poll<Result<(), End>> {
        ready!(self.budget.poll_turn(cx));
        if !self.unread.is_empty() {
            self.decode_unread(message).map_err(End::Violation)?;
        }
        while message.is_none() {
            ready!(self.budget.poll_turn(cx));
            ready!(self.poll_read(io, cx, message))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what arrives and forgets it, up to the end of the stream; an error if it fails instead.
    pub(super) fn poll_drain(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.forget();
        let size = self.size as usize;
        let budget = &mut self.budget;
        loop {
            ready!(budget.poll_turn(cx));
            match ready!(scratch::with(size, |block| poll_read(
                io, cx, block, budget
            ))) {
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
        self.taken = 0;
        proto::give(mem::take(&mut self.unread));
    }

    #[inline]
    fn decode_unread(&mut self, message: &mut Option<Message>) -> Result<(), ProtocolError> {
        let unread = &mut self.unread[self.taken..];
        let decoded = self.decoder.decode(unread, message)?;
        self.budget.spend(decoded.frames);
        self.taken += decoded.taken;
        if self.taken == self.unread.len() {
            self.give_unread();
        }
        Ok(())
    }

    /// Reads once and decodes the first message; what follows it is kept.
    fn poll_read(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
        message: &mut Option<Message>,
    ) -> Poll<Result<(), End>> {
        let Self {
            decoder, budget, ..
        } = self;
        if let Some(room) = decoder.payload_room() {
            let length = ready!(poll_read(io, cx, room, budget))?;
            let filled = decoder.fill_payload(length, message);
            return Poll::Ready(filled.map_err(End::Violation));
        }
        scratch::with(self.size as usize, |block| {
            let length = ready!(poll_read(io, cx, block, budget))?;
            let bytes = &mut block[..length];
            let decoded = decoder.decode(bytes, message).map_err(End::Violation)?;
            budget.spend(decoded.frames);
            if decoded.taken < length {
                let rest = &bytes[decoded.taken..];
                self.unread = proto::take();
                // No more will be added.
                self.unread.reserve_exact(rest.len());
                self.unread.extend_from_slice(rest);
            }
            Poll::Ready(Ok(()))
        })
    }
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
            Ok(length) => return Poll::Ready(Ok(length)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(End::Failed(error))),
        }
    }
}
