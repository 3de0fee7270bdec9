//! What a connection records for the metrics of its tracker, and its end there.

use super::{Driver, RecvSlot};
use crate::{
    error::Error,
    proto::Outgoing,
    tracker::{Released, Seat},
};

impl Driver {
    /// Records a message that was received.
    pub(super) fn record_received(&mut self, received: &RecvSlot) {
        if self.endpoint.is_parsing() {
            self.record_last(received);
        }
    }

    /// Records what was received: a message, or the error that ends the messages. The last one is
    /// recorded as it comes.
    pub(super) fn record_last(&mut self, received: &RecvSlot) {
        let Some(record) = &mut self.record else {
            return;
        };
        match received {
            Some(Ok(message)) => record.receive(message),
            Some(Err(error)) => record.note(error),
            None => {}
        }
    }

    /// Records a message that is sent.
    #[inline(never)]
    pub(super) fn record_sent(&mut self, message: &Outgoing) {
        if let Some(record) = &mut self.record {
            record.send(message);
        }
    }

    /// Records the error that has ended the connection.
    pub(super) fn record_error(&mut self, error: &Error) {
        if let Some(record) = &mut self.record {
            record.note(error);
        }
    }

    /// Returns whether the answer to a ping of the keepalive has come, which is no message.
    pub(super) fn take_pong(&mut self) -> bool {
        let has_pong = self.endpoint.take_pong();
        if has_pong && let Some(record) = &mut self.record {
            record.receive_pong();
        }
        has_pong
    }

    /// Passes on what has moved since the last call. Returns how many bytes were read and written.
    pub(super) fn record_moved(&mut self) -> (usize, usize) {
        let (read, written) = (self.reader.take_read(), self.writer.take_written());
        let (Some(record), Some(life)) = (&mut self.record, &self.life) else {
            return (read, written);
        };
        let control = self.endpoint.write_buffer().take_control();
        record.moved(read, written, control.into());
        if let Some(queue) = &life.queue {
            let (policy, dropped) = queue.dropped();
            record.dropped(policy, dropped);
        }
        if let Some(seat) = &life.seat {
            record.pass_on(seat);
        }
        (read, written)
    }

    /// Tells the tracker and `tracing` that both ends have closed, as far as it depends on this
    /// one, or that the connection is gone.
    pub(super) fn leave_tracker(&mut self) {
        self.open.close(|| self.endpoint.first_close());
        if self.record.is_some() {
            // An answer that came with the peer's Close.
            self.take_pong();
            self.record_moved();
        }
        let Some(seat) = self.life.as_ref().and_then(|life| life.seat.as_ref()) else {
            return;
        };
        if let Some(record) = self.record.take() {
            record.close(seat, self.endpoint.first_close());
        }
        if self.is_split {
            // A waker may use one of the halves, which are locked.
            self.has_left = true;
        } else {
            seat.release().tell();
        }
    }

    /// Ends the counting of a connection whose halves have just been locked. Returns whom to tell
    /// once they are not.
    pub(crate) fn release_left(&mut self) -> Released {
        let life = self.life.as_ref().filter(|_| self.has_left);
        let seat = life.and_then(|life| life.seat.as_ref());
        let released = seat.map(Seat::release).unwrap_or_default();
        self.has_left = false;
        released
    }
}
