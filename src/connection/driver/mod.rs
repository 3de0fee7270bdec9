//! A running connection: drives the protocol over a byte stream, for one task at a time.
//!
//! [`Reader`] and [`Writer`] move bytes. `receiving`, `sending` and `closing` decide what happens
//! when, and `tasks` decides which task is woken.

use std::{fmt, mem};

pub(crate) use self::{
    closing::Closer,
    tasks::{Reading, Tasks},
};
use self::{reader::Reader, write_failure::WriteFailure, writer::Writer};
use crate::{
    config::{Compression, TransportConfig},
    error::Error,
    io::BoxIo,
    life::{Allowance, Behind, End, Life},
    message::{CloseFrame, Message, Role},
    proto::{self, Endpoint, Outgoing, PreparedMessage},
    sync::Exclusive,
    trace::Open,
    tracker::Record,
};

mod budget;
mod closing;
mod draining;
mod life;
mod rates;
mod reader;
mod receiving;
mod record;
mod sending;
mod tasks;
mod write_failure;
mod writer;

/// A slot for a received value: the one that `next` returns.
type RecvSlot = proto::RecvSlot<Error>;

/// A slot for a message to send.
#[derive(Debug)]
pub(crate) struct SendSlot {
    /// `None` once it is buffered.
    message: Option<Unsent>,
    behind: Behind,
}

/// A message that is not buffered yet.
#[derive(Debug)]
enum Unsent {
    Own(Outgoing),
    /// It may be one that may not be sent.
    Prepared(PreparedMessage),
}

impl SendSlot {
    #[inline]
    pub(crate) fn new(message: Message) -> Self {
        let message = match Outgoing::new(message) {
            Ok(message) => Unsent::Own(message),
            Err(invalid) => Unsent::Prepared(PreparedMessage::invalid(invalid)),
        };
        Self {
            message: Some(message),
            behind: None,
        }
    }

    pub(crate) fn prepared(message: PreparedMessage) -> Self {
        Self {
            message: Some(Unsent::Prepared(message)),
            behind: None,
        }
    }
}

/// The result of sending. The error is boxed so that the result is returned in a register; unboxed
/// it cost 5 % of a small message.
pub(crate) type SendResult = Result<(), Box<Error>>;

/// The two sides of a connection, which may be two tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Receiver,
    Sender,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Receiver => Self::Sender,
            Self::Sender => Self::Receiver,
        }
    }
}

/// A snapshot: if it differs after a poll, the task of the other half must be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    endpoint: proto::State,
    is_finished: bool,
}

/// One end of a WebSocket connection: its endpoint, its stream, and the waiting tasks.
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(crate) struct Driver {
    io: Exclusive<BoxIo>,
    endpoint: Endpoint,
    reader: Reader,
    writer: Writer,
    /// `next` has returned `None`.
    terminated: bool,
    /// Nothing more is read or written: the TCP connection was closed as far as possible.
    finished: bool,
    /// One task sends and another one receives, through halves or otherwise.
    is_shared: bool,
    /// The halves of a socket share this connection, behind a lock.
    is_split: bool,
    /// A drain has sent the Close: what arrives before the peer's is discarded.
    is_drained: bool,
    /// The tracker has to be told that the connection has ended, once the halves are not locked.
    has_left: bool,
    /// Why the messages have ended, if the receiving task does not know yet.
    pending_end: Option<End>,
    /// The error of a failed write, while a side still has to get it.
    write_failure: Option<Box<WriteFailure>>,
    /// The error that occurred while the connection was being closed.
    finish_error: Option<Box<Error>>,
    tasks: Tasks,
    /// Timeouts, senders and tracker; `None` if the socket has none of them.
    life: Option<Box<Life>>,
    /// What is counted for the metrics of the tracker, until the socket has ended.
    record: Option<Box<Record>>,
    open: Open,
}

impl Driver {
    /// Starts the protocol on `io`. `read_ahead` was already read from it.
    pub(crate) fn new(
        io: BoxIo,
        read_ahead: Vec<u8>,
        role: Role,
        limits: &TransportConfig,
        compression: Option<&Compression>,
        life: Option<Box<Life>>,
        record: Option<Box<Record>>,
    ) -> Self {
        let mut reader = Reader::new(read_ahead, limits.read_buffer_size);
        if life.as_ref().is_some_and(|life| life.has_rates()) {
            reader.allow(Allowance::default());
        }
        Self {
            io: Exclusive::new(io),
            endpoint: Endpoint::new(role, limits, compression),
            reader,
            writer: Writer::default(),
            terminated: false,
            finished: false,
            is_shared: false,
            is_split: false,
            is_drained: false,
            has_left: false,
            pending_end: None,
            write_failure: None,
            finish_error: None,
            tasks: Tasks::default(),
            life,
            record,
            open: Open::new(role),
        }
    }

    /// Sets whether halves share this connection, one for each direction. Forgets the waiting
    /// tasks: they no longer poll this connection.
    pub(crate) fn set_shared(&mut self, is_shared: bool) {
        self.is_shared = is_shared;
        self.is_split = is_shared;
        self.tasks = Tasks::default();
    }

    /// Wakes the waiting tasks. They register again in their next poll.
    pub(crate) fn wake_tasks(&mut self) {
        mem::take(&mut self.tasks).wake();
    }

    /// Returns the frame of the peer's Close, once it was received with a code.
    pub(crate) fn close_frame(&self) -> Option<CloseFrame> {
        self.endpoint.close_frame()
    }

    /// Returns whether compression was agreed.
    pub(crate) fn has_compression(&self) -> bool {
        self.endpoint.has_compression()
    }

    pub(crate) fn state(&self) -> State {
        State {
            endpoint: self.endpoint.state(),
            is_finished: self.finished,
        }
    }

    /// Returns whether something is left to write or flush.
    #[inline]
    fn is_writing(&self) -> bool {
        self.writer.is_unflushed() || self.endpoint.has_unwritten()
    }

    /// A snapshot: if it differs after a poll, something was received, buffered, written or
    /// flushed, and the other task may be able to continue.
    fn progress(&self) -> (State, usize, (u32, bool)) {
        let unwritten = self.endpoint.unwritten();
        (self.state(), unwritten, self.writer.progress())
    }
}

/// Tells the tracker of an end that came without a word, for instance when a runtime shuts down.
impl Drop for Driver {
    fn drop(&mut self) {
        self.leave_tracker();
    }
}

/// Shows the state without the buffered bytes, which are the users' messages.
impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("state", &self.state())
            .field("unwritten", &self.endpoint.unwritten())
            .finish_non_exhaustive()
    }
}
