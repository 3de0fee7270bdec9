//! A write that has failed, and which side has still to be told.
//!
//! Nothing can be sent after it, and what was buffered is lost. The call that made the write
//! returns the error. That may have been a call that receives, or one that returns no error: then
//! the side that may have lost something is told by its next call, once.

use std::io;

use super::{Driver, Side};
use crate::error::{Error, Result};

/// A failure that was not told to everybody.
#[derive(Debug)]
pub(super) struct WriteFailure {
    error: io::Error,
    /// Whether each [`Side`] has still to be told.
    untold: [bool; 2],
}

impl Driver {
    /// Tells whether messages of the user's are lost if nothing more can be written: some are
    /// buffered, here or in the stream. A Close that nobody gets is no loss.
    pub(super) fn has_unsent(&self) -> bool {
        self.writer.is_unflushed() || self.endpoint.has_unwritten_messages()
    }

    /// Ends the sending direction; returns the error for the side that is told now, if any is.
    pub(super) fn fail_sending(&mut self, error: io::Error, told: Option<Side>) -> Error {
        let has_lost = self.has_unsent();
        let untold = [
            told.is_none() && self.endpoint.is_receiving(),
            told != Some(Side::Sender) && has_lost,
        ];
        if untold.contains(&true) {
            let error = copy(&error);
            self.write_failure = Some(Box::new(WriteFailure { error, untold }));
        }
        self.endpoint.stop_sending();
        error.into()
    }

    /// Returns the error of an earlier write that this side was not told yet.
    #[inline]
    pub(super) fn take_write_failure(&mut self, side: Side) -> Result<()> {
        if self.write_failure.is_none() {
            return Ok(());
        }
        self.tell_write_failure(side)
    }

    #[cold]
    fn tell_write_failure(&mut self, side: Side) -> Result<()> {
        let Some(failure) = &mut self.write_failure else {
            return Ok(());
        };
        if !std::mem::take(&mut failure.untold[side as usize]) {
            return Ok(());
        }
        let error = copy(&failure.error);
        if !failure.untold.contains(&true) {
            self.write_failure = None;
        }
        Err(error.into())
    }
}

/// An error of the system is the same again; of any other the kind and the text are kept.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
