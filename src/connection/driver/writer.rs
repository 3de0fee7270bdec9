//! Writes buffered frames to a stream.

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::AsyncWrite;

use super::budget::Budget;
use crate::{
    io::{BoxIo, overrun, retry},
    proto::{MAX_SLICES, WriteBuffer},
};

/// The side of a connection that writes.
#[derive(Debug, Default)]
pub(super) struct Writer {
    budget: Budget,
    /// The number of bytes that were written; it wraps.
    written: u32,
    /// What `written` was when this was asked last.
    taken: u32,
    /// Bytes were written that the stream has not yet been asked to flush.
    unflushed: bool,
    /// The write side was shut down.
    is_shut_down: bool,
}

impl Writer {
    /// Is pending once the turn is over, and wakes the task for the next one.
    #[inline]
    pub(super) fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.budget.poll_turn(cx)
    }

    /// Starts a new turn after the task has waited for something else.
    #[inline]
    pub(super) fn begin_turn(&mut self) {
        self.budget.begin();
    }

    #[inline]
    pub(super) fn is_turn_over(&self) -> bool {
        self.budget.is_over()
    }

    /// Counts frames that were buffered in this turn.
    #[inline]
    pub(super) fn count_frames(&mut self, frames: u32) {
        self.budget.spend(frames);
    }

    /// Returns whether the stream still has to flush what was written.
    #[inline]
    pub(super) fn is_unflushed(&self) -> bool {
        self.unflushed
    }

    /// Returns how many bytes were written since the last call: at most those of a turn and of a
    /// write, if it is called whenever the task waits.
    pub(super) fn take_written(&mut self) -> usize {
        let taken = mem::replace(&mut self.taken, self.written);
        self.written.wrapping_sub(taken) as usize
    }

    /// Changes with each write and each flush.
    pub(super) fn progress(&self) -> (u32, bool) {
        (self.written, self.unflushed)
    }

    /// Writes what the stream accepts in this turn, without waiting.
    pub(super) fn try_write(
        &mut self,
        io: &mut BoxIo,
        buffer: &mut WriteBuffer,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        while !buffer.is_empty() && !self.budget.is_over() {
            match self.poll_write_some(io, buffer, cx) {
                Poll::Ready(written) => written?,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Writes and flushes what the stream accepts at once, in as many turns as it needs: nobody
    /// will ask for another turn.
    pub(super) fn write_at_once(
        &mut self,
        io: &mut BoxIo,
        buffer: &mut WriteBuffer,
        cx: &mut Context<'_>,
    ) {
        loop {
            self.budget.begin();
            let before = buffer.len();
            if self.poll_flush(io, buffer, cx).is_ready() || buffer.len() == before {
                return;
            }
        }
    }

    /// Writes everything that is buffered.
    pub(super) fn poll_write(
        &mut self,
        io: &mut BoxIo,
        buffer: &mut WriteBuffer,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !buffer.is_empty() {
            ready!(self.budget.poll_turn(cx));
            ready!(self.poll_write_some(io, buffer, cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes everything that is buffered, and flushes the stream.
    pub(super) fn poll_flush(
        &mut self,
        io: &mut BoxIo,
        buffer: &mut WriteBuffer,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_write(io, buffer, cx))?;
        if self.unflushed {
            ready!(retry(Pin::new(io).poll_flush(cx), cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Shuts down the write side, once.
    pub(super) fn poll_shut_down(&mut self, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_shut_down {
            // A stream that cannot be shut down is about to be dropped anyway.
            let _ = ready!(retry(Pin::new(io).poll_close(cx), cx));
            self.is_shut_down = true;
        }
        Poll::Ready(())
    }

    fn poll_write_some(
        &mut self,
        io: &mut BoxIo,
        buffer: &mut WriteBuffer,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let (given, written) = match buffer.only_slice() {
            Some(slice) => (slice.len(), Pin::new(io).poll_write(cx, slice)),
            None => poll_write_slices(io, buffer, cx),
        };
        self.budget.count(&written);
        match ready!(written) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(taken) if taken > given => return Poll::Ready(Err(overrun())),
            Ok(taken) => {
                self.unflushed = true;
                // The count wraps, so the low bytes will do.
                let [a, b, c, d, ..] = taken.to_le_bytes();
                let count = u32::from_le_bytes([a, b, c, d]);
                self.written = self.written.wrapping_add(count);
                buffer.advance(taken);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }
}

/// Writes several slices with one call, if the stream can. Also returns how many bytes were passed
/// to the stream.
fn poll_write_slices(
    io: &mut BoxIo,
    buffer: &mut WriteBuffer,
    cx: &mut Context<'_>,
) -> (usize, Poll<io::Result<usize>>) {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let count = buffer.fill(&mut slices);
    let slices = &slices[..count];
    let (first, given) = (slices[0].len(), slices.iter().map(|it| it.len()).sum());
    let written = Pin::new(io).poll_write_vectored(cx, slices);
    if let Poll::Ready(Ok(taken)) = written {
        buffer.note_slices(taken, first);
    }
    (given, written)
}
