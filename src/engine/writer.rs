//! Staged frames, and their way to a stream.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::AsyncWrite;

use super::budget::Budget;
use crate::{
    io::BoxIo,
    proto::{MAX_SLICES, Outbox},
};

/// The side of a connection that writes.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) outbox: Outbox,
    budget: Budget,
    /// Bytes were written that the stream was not told to flush.
    unflushed: bool,
    /// The write side was shut down.
    is_shut_down: bool,
}

impl Writer {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self {
            outbox,
            budget: Budget::default(),
            unflushed: false,
            is_shut_down: false,
        }
    }

    /// Writes all that is staged.
    pub(super) fn poll_write(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.outbox.push_waiting_pong();
        while !self.outbox.is_empty() {
            ready!(self.poll_write_some(io, cx))?;
            self.outbox.push_waiting_pong();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all that is staged, and flushes the stream.
    pub(super) fn poll_flush(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_write(io, cx))?;
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Shuts down the write side, once.
    pub(super) fn poll_shut_down(&mut self, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_shut_down {
            // A stream that cannot be shut down is about to be dropped anyway.
            let _ = ready!(Pin::new(io).poll_close(cx));
            self.is_shut_down = true;
        }
        Poll::Ready(())
    }

    fn poll_write_some(&mut self, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.budget.poll_turn(cx));
        let written = match self.outbox.only_slice() {
            Some(slice) => Pin::new(io).poll_write(cx, slice),
            None => self.poll_write_slices(io, cx),
        };
        self.budget.count(&written);
        match ready!(written) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(taken) => {
                self.unflushed = true;
                self.outbox.advance(taken);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what stands in several places with one call, if the stream can.
    fn poll_write_slices(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let count = self.outbox.fill(&mut slices);
        let first = slices[0].len();
        let written = Pin::new(io).poll_write_vectored(cx, &slices[..count]);
        if let Poll::Ready(Ok(taken)) = written {
            self.outbox.note_slices(taken, first);
        }
        written
    }
}
