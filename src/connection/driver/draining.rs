//! What a drain of the tracker asks of a connection.

use std::task::Context;

use super::{Driver, RecvSlot, Side, write_failure::Cause};
use crate::{
    error::Result,
    life::{End, Life},
    tracker::Notice,
};

impl Driver {
    /// Does what a drain asks for. Returns an error once its deadline has passed.
    #[inline]
    pub(super) fn follow_tracker(&mut self, side: Side) -> Result<()> {
        let life = self.life.as_ref();
        let notice = life.map_or(Notice::Stay, |life| life.notice());
        self.follow_notice(notice, side)
    }

    #[inline]
    pub(super) fn follow_notice(&mut self, notice: Notice, side: Side) -> Result<()> {
        if notice == Notice::Stay {
            return Ok(());
        }
        self.leave(notice, side)
    }

    /// Sends the Close of a drain, behind what is queued.
    #[cold]
    fn leave(&mut self, notice: Notice, side: Side) -> Result<()> {
        if self.endpoint.can_send()
            && let Some(frame) = self.life().and_then(Life::drain_frame)
        {
            // The frame is one of this crate, and valid.
            let _ = self.start_close(Some(frame));
            self.is_drained = true;
        }
        if notice == Notice::Abort && !self.finished {
            self.flush_at_once();
            if self.endpoint.is_receiving() {
                return Err(self.end_by(End::Drain, side));
            }
            // The messages have ended already, and `next` returns nothing more.
            self.cut(Side::Receiver, Cause::End(End::Drain));
        }
        Ok(())
    }

    /// Records what was received. Returns whether it is discarded, because a drain has sent the
    /// Close before it.
    #[inline(never)]
    pub(super) fn is_discarded(&mut self, received: &RecvSlot) -> bool {
        self.record_received(received);
        self.is_drained && matches!(received, Some(Ok(message)) if !message.is_close())
    }

    /// Does what a drain asks of a task that waits to write.
    #[cold]
    pub(super) fn leave_writing(&mut self, notice: Notice, cx: &Context<'_>) {
        // The Close waits behind what is blocked.
        let _ = self.leave(Notice::Close, Side::Sender);
        if notice == Notice::Abort {
            self.flush_at_once();
            self.end_writing(End::Drain, cx);
        }
    }
}
