//! What is recorded of one socket for the metrics of its tracker.

use std::{mem, sync::Arc, time::Instant};

use super::{
    Seat,
    metrics::{ClosedBy, End, Meta, Metrics, Traffic, tell},
};
use crate::{
    config::WhenFull,
    error::Error,
    message::{CloseCode, Message},
    proto::Outgoing,
    rt::{self, Runtime},
};

/// The record of a socket, from its opening to its end. Sockets without metrics have none.
#[derive(Debug)]
pub(crate) struct Record {
    metrics: Arc<dyn Metrics>,
    runtime: Option<Arc<dyn Runtime>>,
    opened: Instant,
    protocol: Option<Box<str>>,
    label: Option<&'static str>,
    /// What was received since the tracker was told last.
    received: Traffic,
    sent: Traffic,
    /// How many messages the senders' queue has dropped, as far as the metrics know.
    dropped: u64,
    error: Option<Error>,
}

impl Record {
    /// Starts the record of a socket, if its tracker has metrics.
    pub(crate) fn open(
        seat: &Seat,
        runtime: Option<&Arc<dyn Runtime>>,
        meta: Meta<'_>,
    ) -> Option<Box<Self>> {
        let metrics = seat.metrics()?;
        tell(&*metrics, |metrics| metrics.opened(&meta));
        Some(Box::new(Self {
            metrics,
            runtime: runtime.cloned(),
            opened: rt::now(runtime),
            protocol: meta.protocol.map(Into::into),
            label: meta.label,
            received: Traffic::default(),
            sent: Traffic::default(),
            dropped: 0,
            error: None,
        }))
    }

    /// Counts a message that was received.
    pub(crate) fn receive(&mut self, message: &Message) {
        count(&mut self.received, message.is_text(), message.is_binary());
    }

    /// Counts a data message that is sent. Control frames are counted as they are buffered.
    pub(crate) fn send(&mut self, message: &Outgoing) {
        if !message.is_control() {
            count(&mut self.sent, message.is_text(), !message.is_text());
        }
    }

    /// Counts an answer to a ping of the keepalive.
    pub(crate) fn receive_pong(&mut self) {
        self.received.control += 1;
    }

    /// Keeps the error that has ended the messages: the first one.
    pub(crate) fn note(&mut self, error: &Error) {
        if self.error.is_none() {
            self.error = Some(error.copy());
        }
    }

    /// Counts what the stream has moved, and the control frames that this end has sent.
    pub(crate) fn moved(&mut self, read: usize, written: usize, control: u64) {
        self.received.bytes += read as u64;
        self.sent.bytes += written as u64;
        self.sent.control += control;
    }

    /// Tells the metrics of messages that a queue has dropped, `total` since it was created.
    pub(crate) fn dropped(&mut self, policy: WhenFull, total: u64) {
        let count = total - mem::replace(&mut self.dropped, total);
        if count > 0 {
            tell(&*self.metrics, |metrics| metrics.dropped(policy, count));
        }
    }

    /// Tells the metrics of a round trip.
    pub(crate) fn round_trip(&self, time: std::time::Duration) {
        tell(&*self.metrics, |metrics| metrics.round_trip(time));
    }

    /// Passes what has moved on to the tracker.
    pub(crate) fn pass_on(&mut self, seat: &Seat) {
        if !(self.received.is_empty() && self.sent.is_empty()) {
            seat.moved(mem::take(&mut self.received), mem::take(&mut self.sent));
        }
    }

    /// Ends the record. `close` is the code of the first Close and whether the peer has sent it.
    pub(crate) fn close(mut self, seat: &Seat, close: Option<(CloseCode, bool)>) {
        self.pass_on(seat);
        let (code, by) = match close {
            Some((code, true)) => (code, ClosedBy::Peer),
            Some((code, false)) => (code, ClosedBy::Server),
            None => (CloseCode::Abnormal, ClosedBy::Nobody),
        };
        let now = rt::now(self.runtime.as_ref());
        let meta = Meta {
            protocol: self.protocol.as_deref(),
            label: self.label,
        };
        let end = End {
            duration: now.saturating_duration_since(self.opened),
            code,
            by,
            error: self.error.as_ref(),
        };
        tell(&*self.metrics, |metrics| metrics.closed(&meta, &end));
    }
}

fn count(traffic: &mut Traffic, is_text: bool, is_binary: bool) {
    traffic.text += u64::from(is_text);
    traffic.binary += u64::from(is_binary);
    traffic.control += u64::from(!is_text && !is_binary);
}
