//! The rates of a socket, where it receives.

use super::{Driver, Side};
use crate::{
    error::Result,
    life::{Allowance, End, Life},
};

impl Driver {
    /// Measures what was received, and allows more if the rates do. Call it before receiving.
    #[inline]
    pub(super) fn renew_allowance(&mut self) {
        if self.reader.is_limited() {
            self.measure();
        }
    }

    #[cold]
    fn measure(&mut self) {
        if let Some(life) = &mut self.life
            && let Some(allowance) = life.renew_allowance(self.reader.allowance())
        {
            self.reader.allow(allowance);
        }
    }

    /// Allows everything, until the rates are asked again.
    pub(super) fn lift_rates(&mut self) {
        if self.reader.is_limited() {
            self.measure();
            self.reader.allow(Allowance::UNLIMITED);
        }
    }

    /// Returns whether a reader that was held up may go on, or the error for `side` if the peer has
    /// exceeded a rate that closes the socket.
    #[cold]
    pub(super) fn resume(&mut self, side: Side) -> Result<bool> {
        self.renew_allowance();
        if self.life().is_some_and(Life::is_rate_exceeded) {
            return Err(self.end_by(End::Rate, side));
        }
        Ok(!self.reader.is_held())
    }
}
