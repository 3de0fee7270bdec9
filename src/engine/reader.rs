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
const MAX_READ: usize = 1024 * 1024;

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
    size: usize,
    budget: Budget,
}

impl Reader {
    /// Makes the side of a connection of which `early` was read already.
    pub(super) fn new(decoder: Decoder, early: Vec<u8>, size: usize) -> Self {
        Self {
            decoder,
            unread: early,
            taken: 0,
            size: size.clamp(1, MAX_READ),
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

    /// Reads what has arrived and forgets it, up to the end of the stream.
    pub(super) fn poll_drain(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.forget();
        loop {
            ready!(self.budget.poll_turn(cx));
            let read = scratch::with(self.size, |block| poll_read(io, cx, block));
            if ready!(self.count(read))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// No message is wanted any more of what was read.
    pub(super) fn forget(&mut self) {
        self.taken = 0;
        proto::give(mem::take(&mut self.unread));
    }

    #[inline]
    fn decode_unread(&mut self, message: &mut Option<Message>) -> Result<(), ProtocolError> {
        let unread = &mut self.unread[self.taken..];
        let decoded = self.decoder.decode(unread, message)?;
        self.budget.spend_frames(decoded.frames);
        self.taken += decoded.taken;
        if self.taken == self.unread.len() {
            self.forget();
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
        scratch::with(self.size, |block| {
            let read = poll_read(io, cx, block);
            let length = ready!(self.count(read)).map_err(End::Failed)?;
            if length == 0 {
                return Poll::Ready(Err(End::Stream));
            }
            let bytes = &mut block[..length];
            let decoded = self
                .decoder
                .decode(bytes, message)
                .map_err(End::Violation)?;
            self.budget.spend_frames(decoded.frames);
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

    /// Counts a read to the turn of the connection.
    fn count(&mut self, read: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &read {
            Poll::Pending => self.budget.restore(),
            Poll::Ready(length) => self.budget.spend_read(*length.as_ref().unwrap_or(&0)),
        }
        read
    }
}

/// Reads, and once more where a signal came in between.
fn poll_read(io: &mut BoxIo, cx: &mut Context<'_>, block: &mut [u8]) -> Poll<io::Result<usize>> {
    loop {
        match Pin::new(&mut *io).poll_read(cx, block) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
