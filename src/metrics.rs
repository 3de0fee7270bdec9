#![doc = include_str!("metrics.md")]

use std::time::Duration;

use metrics::{
    Label, SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::{
    config::WhenFull,
    error::{Error, TimeoutPhase},
    handshake::Rejection,
    tracker::{ClosedBy, End, Meta, Metrics, Traffic},
};

const ACTIVE: &str = "websocket_server_active_connections";
const DURATION: &str = "websocket_server_connection_duration_seconds";
const REFUSED: &str = "websocket_server_handshakes_refused_total";
const MESSAGES: &str = "websocket_server_messages_total";
const BYTES: &str = "websocket_server_io_bytes_total";
const ROUND_TRIP: &str = "websocket_server_round_trip_seconds";
const DROPPED: &str = "websocket_server_queue_dropped_total";
const TIMEOUTS: &str = "websocket_server_timeouts_total";

/// Passes the metrics of a [`Tracker`](crate::Tracker) on to the crate `metrics`.
///
/// ```
/// use anyws::{Tracker, metrics::Facade};
///
/// // Install a recorder first: descriptions go to the one that is there.
/// let tracker = Tracker::new().metrics(Facade::new());
/// # drop(tracker);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Facade;

impl Facade {
    /// Describes the metrics to the recorder, and returns what passes them on.
    #[must_use]
    pub fn new() -> Self {
        describe_gauge!(ACTIVE, "WebSockets that are open");
        describe_histogram!(DURATION, Unit::Seconds, "How long WebSockets were open");
        describe_counter!(REFUSED, "Handshakes that were refused");
        describe_counter!(MESSAGES, "Messages and control frames");
        describe_counter!(BYTES, Unit::Bytes, "Bytes of the streams of WebSockets");
        describe_histogram!(
            ROUND_TRIP,
            Unit::Seconds,
            "The time from a ping to its pong"
        );
        describe_counter!(DROPPED, "Messages that full queues have dropped");
        describe_counter!(TIMEOUTS, "WebSockets that a timeout has ended");
        // These are there from the beginning, so that a graph begins at zero. Another tracker may
        // have begun already.
        gauge!(ACTIVE).increment(0);
        count("receive", &Traffic::default());
        count("transmit", &Traffic::default());
        Self
    }
}

impl Default for Facade {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics for Facade {
    fn opened(&self, meta: &Meta<'_>) {
        gauge!(ACTIVE, labels(meta)).increment(1);
    }

    fn closed(&self, meta: &Meta<'_>, end: &End<'_>) {
        let labels = labels(meta);
        gauge!(ACTIVE, labels.clone()).decrement(1);
        let mut labels = labels;
        labels.push(Label::new("code", code(end)));
        labels.push(Label::from_static_parts("initiator", initiator(end.by)));
        histogram!(DURATION, labels).record(end.duration);
        if let Some(Error::Timeout(phase)) = end.error {
            counter!(TIMEOUTS, "phase" => phase_name(*phase)).increment(1);
        }
    }

    fn refused(&self, rejection: &Rejection) {
        let status = rejection.status().as_str().to_owned();
        counter!(REFUSED, "status" => status).increment(1);
    }

    fn moved(&self, received: &Traffic, sent: &Traffic) {
        count("receive", received);
        count("transmit", sent);
    }

    fn round_trip(&self, time: Duration) {
        histogram!(ROUND_TRIP).record(time);
    }

    fn dropped(&self, policy: WhenFull, count: u64) {
        counter!(DROPPED, "policy" => policy_name(policy)).increment(count);
    }
}

fn labels(meta: &Meta<'_>) -> Vec<Label> {
    let label = meta
        .label
        .map(|label| Label::from_static_parts("label", label));
    Vec::from_iter(label)
}

fn count(direction: &'static str, traffic: &Traffic) {
    let kinds = [
        ("text", traffic.text),
        ("binary", traffic.binary),
        ("control", traffic.control),
    ];
    for (kind, count) in kinds {
        counter!(MESSAGES, "network_io_direction" => direction, "type" => kind).increment(count);
    }
    counter!(BYTES, "network_io_direction" => direction).increment(traffic.bytes);
}

/// Returns the code as a label. A peer may choose from thousands.
fn code(end: &End<'_>) -> SharedString {
    match (end.by, end.code.into()) {
        (ClosedBy::Peer, 3000..=3999) => SharedString::const_str("3xxx"),
        (ClosedBy::Peer, 4000..=4999) => SharedString::const_str("4xxx"),
        (_, code) => SharedString::from_owned(u16::to_string(&code)),
    }
}

fn initiator(by: ClosedBy) -> &'static str {
    match by {
        ClosedBy::Peer => "peer",
        ClosedBy::Server => "server",
        ClosedBy::Nobody => "none",
    }
}

fn policy_name(policy: WhenFull) -> &'static str {
    match policy {
        WhenFull::Wait => "wait",
        WhenFull::DropNewest => "drop_newest",
        WhenFull::DropOldest => "drop_oldest",
        WhenFull::Close => "close",
    }
}

fn phase_name(phase: TimeoutPhase) -> &'static str {
    match phase {
        TimeoutPhase::Upgrade => "upgrade",
        TimeoutPhase::Close => "close",
        TimeoutPhase::Resolve => "resolve",
        TimeoutPhase::Connect => "connect",
        TimeoutPhase::Tls => "tls",
        TimeoutPhase::Handshake => "handshake",
        TimeoutPhase::Operation => "operation",
        TimeoutPhase::Pong => "pong",
        TimeoutPhase::Write => "write",
        TimeoutPhase::Idle => "idle",
        TimeoutPhase::Lifetime => "lifetime",
        TimeoutPhase::Drain => "drain",
    }
}
