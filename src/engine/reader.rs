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

/// What a read has come to.
pub(super) enum Read {
    Message(Message),
    /// The peer broke the protocol: no byte may be decoded any more.
    Violation(ProtocolError),
    /// The stream ended.
    End,
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

    /// Comes to the next message, or to the end of them.
    pub(super) fn poll(&mut self, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<Read> {
        ready!(self.budget.poll_turn(cx));
        let mut decoded = self.decode_unread();
        loop {
            match decoded {
                Ok(Some(message)) => {
                    return Poll::Ready(Read::Message(message));
                }
                Ok(None) => {}
                Err(violation) => return Poll::Ready(Read::Violation(violation)),
            }
            ready!(self.budget.poll_turn(cx));
            decoded = match ready!(self.poll_read(io, cx)) {
                Ok(Some(decoded)) => decoded,
                Ok(None) => return Poll::Ready(Read::End),
                Err(error) => return Poll::Ready(Read::Failed(error)),
            };
        }
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

    fn decode_unread(&mut self) -> Result<Option<Message>, ProtocolError> {
        if self.unread.is_empty() {
            return Ok(None);
        }
        let decoded = self.decoder.decode(&mut self.unread[self.taken..])?;
        self.budget.spend_frames(decoded.frames);
        self.taken += decoded.taken;
        if self.taken == self.unread.len() {
            self.forget();
        }
        Ok(decoded.message)
    }

    /// Reads once and decodes the first message; what follows it is kept. `None` at the end.
    #[expect(clippy::type_complexity, reason = "a name for it would say no more")]
    fn poll_read(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Result<Option<Message>, ProtocolError>>>> {
        scratch::with(self.size, |block| {
            let read = poll_read(io, cx, block);
            let length = ready!(self.count(read))?;
            if length == 0 {
                return Poll::Ready(Ok(None));
            }
            let bytes = &mut block[..length];
            let decoded = self.decoder.decode(bytes).map(|decoded| {
                self.budget.spend_frames(decoded.frames);
                if decoded.taken < length {
                    self.unread = proto::take();
                    self.unread.extend_from_slice(&bytes[decoded.taken..]);
                }
                decoded.message
            });
            Poll::Ready(Ok(Some(decoded)))
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
