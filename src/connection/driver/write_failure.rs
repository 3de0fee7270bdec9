//! A failed write, and the sides that still have to get its error.
//!
//! Nothing can be sent after it, and what was buffered is lost. The call that made the write
//! returns the error. If that call receives, or returns no error, the side that may have lost
//! messages gets the error from its next call, once.

use std::io;

use super::{Driver, Side};
use crate::error::{Error, Result};

/// An error that a side still has to get.
#[derive(Debug)]
pub(super) struct WriteFailure {
    error: io::Error,
    /// Whether the error is pending for each [`Side`].
    pending: [bool; 2],
}

impl Driver {
    /// Returns whether messages of the user are lost if nothing more can be written: some are
    /// buffered, here or in the stream. A Close that nobody gets is not a loss.
    pub(super) fn has_unsent(&self) -> bool {
        self.writer.is_unflushed() || self.endpoint.has_unwritten_messages()
    }

    /// Ends the direction to the peer. Returns the error for `caller`, the side that returns it
    /// now. The other side gets a copy later if it may have lost messages.
    pub(super) fn fail_sending(&mut self, error: io::Error, caller: Option<Side>) -> Error {
        let has_lost = self.has_unsent();
        let pending = [
            caller.is_none() && self.endpoint.is_receiving(),
            caller != Some(Side::Sender) && has_lost,
        ];
        if pending.contains(&true) {
            let error = copy(&error);
            self.write_failure = Some(Box::new(WriteFailure { error, pending }));
        }
        self.endpoint.stop_sending();
        error.into()
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
        let error = copy(&failure.error);
        if !failure.pending.contains(&true) {
            self.write_failure = None;
        }
        Err(error.into())
    }
}

/// Copies an error: a system error by its code, any other by its kind, and by its text if it has
/// one.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None if error.get_ref().is_none() => error.kind().into(),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
