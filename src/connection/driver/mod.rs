//! A connection that lives: the protocol driven over a byte stream, for one task at a time.
//!
//! [`Reader`] and [`Writer`] move bytes; `receiving`, `sending` and `closing` decide what happens
//! when, and `tasks` who is woken.

use std::fmt;

pub(crate) use self::{
    closing::Closer,
    tasks::{Reading, Tasks},
};
use self::{reader::Reader, write_failure::WriteFailure, writer::Writer};
use crate::{
    CloseFrame, Error, InvalidMessage, Result, TransportConfig,
    io::BoxIo,
    message::Role,
    proto::{Decoder, Outgoing, WriteBuffer},
    sync::Exclusive,
};

mod budget;
mod closing;
mod reader;
mod receiving;
mod sending;
mod tasks;
mod write_failure;
mod writer;

/// Bytes of pings that a peer may send while it reads no pong, however high the watermark is: what
/// Linux gives a connection of its own accord.
const MAX_UNANSWERED: usize = 128 * 1024;

/// How far the messages from the peer have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecvState {
    /// More may come.
    Open,
    /// The peer's Close was received.
    Closed,
    /// The peer broke the protocol: its bytes are not parsed any more.
    Failed,
    /// The stream ended or failed.
    Gone,
}

/// How far the messages to the peer have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SendState {
    /// More may be sent.
    Open,
    /// A Close was buffered, as a request, as an answer or for a failure.
    Closed,
    /// A write failed: nothing more can be sent.
    Failed,
}

/// The place of a message that is to be sent: what it is made of, or why it may not be sent.
pub(crate) type SendSlot = Option<Result<Outgoing, InvalidMessage>>;

/// What sending has come to. It fits in registers: an error of its full size would be in memory,
/// and to look there whether all went well costs a twentieth of all that is done for a small
/// message.
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

/// The peer's Close.
struct ReceivedClose {
    /// `None` if it has no code.
    frame: Option<CloseFrame>,
    /// It arrived in a call that discards data: `next` has yet to return it.
    is_untold: bool,
}

/// A snapshot: if it differs after a poll, a task that waits has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    incoming: RecvState,
    sending: SendState,
    is_finished: bool,
}

/// One end of a WebSocket connection.
pub(crate) struct Driver {
    io: Exclusive<BoxIo>,
    reader: Reader,
    writer: Writer,
    role: Role,
    incoming: RecvState,
    sending: SendState,
    /// `next` has returned `None`.
    terminated: bool,
    /// The TCP connection was closed in order, as far as it could be.
    finished: bool,
    /// One task sends and another one receives, by halves or otherwise.
    is_shared: bool,
    /// The length of our Close frame; 0 before it was buffered.
    close_len: u8,
    /// Staged bytes above which they are written.
    write_buffer_size: usize,
    /// Staged bytes above which senders wait.
    watermark: usize,
    /// The largest payload of a frame that is sent, unless there were too many of them.
    fragment: usize,
    /// Why a write has failed, while somebody was not told.
    write_failure: Option<Box<WriteFailure>>,
    received_close: Option<Box<ReceivedClose>>,
    /// What went wrong while the connection was being closed.
    finish_error: Option<Box<Error>>,
    tasks: Tasks,
}

impl Driver {
    /// Starts to speak frames on `io`; `read_ahead` is what was read from it already.
    pub(crate) fn new(
        io: BoxIo,
        read_ahead: Vec<u8>,
        role: Role,
        limits: &TransportConfig,
    ) -> Self {
        let decoder = Decoder::new(role, limits);
        Self {
            io: Exclusive::new(io),
            reader: Reader::new(decoder, read_ahead, limits.read_buffer_size),
            writer: Writer::new(WriteBuffer::new(role)),
            role,
            incoming: RecvState::Open,
            sending: SendState::Open,
            terminated: false,
            finished: false,
            is_shared: false,
            close_len: 0,
            // The settings of a test are not validated: what is buffered above the watermark has to
            // be written, and fragments must not be empty.
            write_buffer_size: limits.write_buffer().min(limits.watermark()),
            watermark: limits.watermark(),
            fragment: limits.fragment_size.max(1),
            write_failure: None,
            received_close: None,
            finish_error: None,
            tasks: Tasks::default(),
        }
    }

    pub(crate) fn set_shared(&mut self, is_shared: bool) {
        self.is_shared = is_shared;
    }

    /// Returns the frame of the peer's Close, once that was received with a code.
    pub(crate) fn close_frame(&self) -> Option<CloseFrame> {
        self.received_close.as_ref()?.frame.clone()
    }

    /// Returns how far the connection has come in its life.
    pub(crate) fn state(&self) -> State {
        State {
            incoming: self.incoming,
            sending: self.sending,
            is_finished: self.finished,
        }
    }
}

/// Tells the state, not the bytes in the buffers: they are the users' messages.
impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("role", &self.role)
            .field("incoming", &self.incoming)
            .field("sending", &self.sending)
            .field("buffered", &self.writer.write_buffer.buffered())
            .finish_non_exhaustive()
    }
}
