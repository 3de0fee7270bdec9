//! What a tracker tells of its sockets.

use std::{
    fmt::Debug,
    ops::AddAssign,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use crate::{config::WhenFull, error::Error, handshake::Rejection, message::CloseCode};

/// Receives what happens to the sockets of a [`Tracker`](crate::Tracker). By default, all methods
/// do nothing.
///
/// Set it with [`Tracker::metrics`](crate::Tracker::metrics). The feature `metrics` has one for the
/// crate of that name, and so for Prometheus and others. The guide on
/// [observability](crate::guide::observability) shows both.
///
/// The methods are called from the tasks of sockets, so they must neither block nor use a socket. A
/// panic of one does no harm to the socket. [`moved`](Self::moved) is called once a second for all
/// sockets together; a message costs no call.
pub trait Metrics: Debug + Send + Sync + 'static {
    /// A socket was opened.
    fn opened(&self, meta: &Meta<'_>) {
        let _ = meta;
    }

    /// A socket has ended. This is called once for each that was opened.
    fn closed(&self, meta: &Meta<'_>, end: &End<'_>) {
        let _ = (meta, end);
    }

    /// A handshake was refused. An extractor does not count requests that ask for no WebSocket: a
    /// handler may serve both.
    fn refused(&self, rejection: &Rejection) {
        let _ = rejection;
    }

    /// All sockets together have moved this much since the last call.
    fn moved(&self, received: &Traffic, sent: &Traffic) {
        let _ = (received, sent);
    }

    /// A peer has answered a ping of the keepalive after `time`.
    fn round_trip(&self, time: Duration) {
        let _ = time;
    }

    /// The queue of a socket's senders was full, and `count` messages were dropped.
    fn dropped(&self, policy: WhenFull, count: u64) {
        let _ = (policy, count);
    }
}

/// Calls a method of the user's, and catches its panic: a destructor may make the call during
/// another panic, and a second one would abort the process. The panic hook has reported it.
pub(super) fn tell(metrics: &dyn Metrics, call: impl FnOnce(&dyn Metrics)) {
    let _ = catch_unwind(AssertUnwindSafe(|| call(metrics)));
}

/// What is known of a socket from its handshake.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Meta<'a> {
    /// The subprotocol that was chosen.
    pub protocol: Option<&'a str>,
    /// What the handler has set with [`WebSocketUpgrade::label`](crate::WebSocketUpgrade::label):
    /// the name of the route, for example.
    pub label: Option<&'static str>,
}

impl<'a> Meta<'a> {
    pub(crate) fn new(protocol: Option<&'a str>, label: Option<&'static str>) -> Self {
        Self { protocol, label }
    }
}

/// How a socket has ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct End<'a> {
    /// The time since the socket was opened.
    pub duration: Duration,
    /// The code of the first Close; 1005 if that had none, 1006 if there was no Close (RFC 6455,
    /// section 7.1.5).
    pub code: CloseCode,
    /// Who has sent the first Close.
    pub by: ClosedBy,
    /// The error that has ended the messages, if there was one. An [`Error::Io`] has the kind and
    /// the text of the original.
    pub error: Option<&'a Error>,
}

/// Who has sent the first Close of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClosedBy {
    /// The peer.
    Peer,
    /// This end, also where it is a client: the handler, a timeout, a drain, or the report of a
    /// violation.
    Server,
    /// Nobody: the connection was lost, or aborted.
    Nobody,
}

/// Messages and bytes that have moved in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Text messages.
    pub text: u64,
    /// Binary messages.
    pub binary: u64,
    /// Control frames: pings, pongs and Closes.
    pub control: u64,
    /// Bytes of the stream below, with the headers of frames and without those of the handshake. A
    /// layer below that stream, such as TLS, adds its own.
    pub bytes: u64,
}

impl Traffic {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.text += other.text;
        self.binary += other.binary;
        self.control += other.control;
        self.bytes += other.bytes;
    }
}
