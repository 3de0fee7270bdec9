//! A failed write, and the sides that still have to get its error.
//!
//! Nothing can be sent after it, and what was buffered is lost. The call that made the write
//! returns the error. If that call receives, or returns no error, the side that may have lost
//! messages gets the error from its next call, once.

use std::io;

use super::{Driver, Side};
use crate::{
    error::{Error, Result},
    life::End,
};

/// An error that a side still has to get.
#[derive(Debug)]
pub(super) struct WriteFailure {
    pub(super) cause: Cause,
    /// Whether the error is pending for each [`Side`].
    pub(super) pending: [bool; 2],
}

/// Why nothing more can be written.
#[derive(Debug)]
pub(super) enum Cause {
    Io(io::Error),
    End(End),
}

impl Driver {
    /// Returns whether messages of the user are lost if nothing more can be written: some are
    /// buffered, here or in the stream. A Close that nobody gets is not a loss.
    pub(super) fn has_unsent(&self) -> bool {
        self.writer.is_unflushed() || self.endpoint.has_unwritten_messages()
    }

    /// Ends the direction to the peer. Returns the error for `caller`, the side that returns it
    /// now. The other side gets a copy later if it may have lost messages.
    pub(super) fn fail_sending(&mut self, cause: impl Into<Cause>, caller: Option<Side>) -> Error {
        let cause = cause.into();
        let (is_receiving, has_lost) = (self.endpoint.is_receiving(), self.has_unsent());
        let pending = [
            caller.is_none() && is_receiving,
            caller != Some(Side::Sender) && has_lost,
        ];
        if pending.contains(&true) {
            let cause = cause.copy();
            self.write_failure = Some(Box::new(WriteFailure { cause, pending }));
        }
        self.endpoint.stop_sending();
        self.end_queue();
        let error = cause.into();
        // A peer that has closed may be gone before the answer arrives: that loses nothing.
        if is_receiving || has_lost {
            self.record_error(&error);
        }
        error
    }

    /// Returns the error of an earlier write that is pending for this side.
    #[inline]
    pub(super) fn take_write_failure(&mut self, side: Side) -> Result<()> {
        if self.write_failure.is_none() {
            return Ok(());
        }
        self.take_pending(side)
    }

    #[cold]
    fn take_pending(&mut self, side: Side) -> Result<()> {
        let Some(failure) = &mut self.write_failure else {
            return Ok(());
        };
        if !std::mem::take(&mut failure.pending[side as usize]) {
            return Ok(());
        }
        let cause = failure.cause.copy();
        if !failure.pending.contains(&true) {
            self.write_failure = None;
        }
        Err(cause.into())
    }
}

impl Cause {
    /// Copies an error: a system error by its code, any other by its kind, and by its text if it
    /// has one.
    fn copy(&self) -> Self {
        match self {
            Self::End(end) => Self::End(*end),
            Self::Io(error) => Self::Io(match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None if error.get_ref().is_none() => error.kind().into(),
                None => io::Error::new(error.kind(), error.to_string()),
            }),
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Io(error) => error.into(),
            Cause::End(end) => end.error(),
        }
    }
}
