//! One end of a WebSocket connection without its stream: what RFC 6455 makes an endpoint do.
//!
//! Bytes and messages go in; messages and bytes come out. The endpoint decides what is answered,
//! what fails the connection, who closes first and when reading pauses. The driver around it moves
//! the bytes.

mod receiving;
mod sending;
#[cfg(test)]
mod tests;

use super::{recv::Decoder, send::WriteBuffer};
use crate::{
    config::TransportConfig,
    message::{CloseFrame, Role},
};

/// The direction from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RecvState {
    /// More messages may come.
    Open,
    /// The peer's Close was received.
    Closed,
    /// The peer broke the protocol: its bytes are no longer parsed.
    Failed,
    /// The stream ended or failed, or the user gave up.
    Gone,
}

/// The direction to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SendState {
    /// More messages may be sent.
    Open,
    /// A Close was buffered: a request, an answer, or the report of a failure.
    Closed,
    /// A write failed, or the user gave up: nothing more can be written.
    Failed,
}

/// Both directions of an endpoint. ARCHITECTURE.md lists the pairs that can exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct State {
    pub(crate) recv: RecvState,
    pub(crate) send: SendState,
}

/// One end of a WebSocket connection.
pub(crate) struct Endpoint {
    role: Role,
    recv: RecvState,
    send: SendState,
    /// The length of our Close frame; 0 before it was buffered.
    close_len: u8,
    decoder: Decoder,
    write_buffer: WriteBuffer,
    /// More buffered bytes than this are written.
    write_buffer_size: usize,
    /// With more buffered bytes than this, senders wait.
    watermark: usize,
    /// The largest payload of a frame that is sent, unless that makes too many frames.
    fragment: usize,
    received_close: Option<Box<ReceivedClose>>,
}

/// The peer's Close.
struct ReceivedClose {
    /// `None` if it has no code.
    frame: Option<CloseFrame>,
    /// It arrived in a call that discards messages: the user has yet to receive it.
    is_pending: bool,
}

impl Endpoint {
    pub(crate) fn new(role: Role, limits: &TransportConfig) -> Self {
        Self {
            role,
            recv: RecvState::Open,
            send: SendState::Open,
            close_len: 0,
            decoder: Decoder::new(role, limits),
            write_buffer: WriteBuffer::new(role),
            // Tests may pass settings that were not validated: what is buffered above the
            // watermark has to be written, and fragments must not be empty.
            write_buffer_size: limits.write_buffer().min(limits.watermark()),
            watermark: limits.watermark(),
            fragment: limits.fragment_size.max(1),
            received_close: None,
        }
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        State {
            recv: self.recv,
            send: self.send,
        }
    }

    /// Returns whether the server ends the TCP connection now (RFC 6455, section 7.1.1): the
    /// closing handshake is over, or the connection has failed. The client waits for that.
    pub(crate) fn ends_tcp_at_once(&self) -> bool {
        let is_over = matches!(self.recv, RecvState::Closed | RecvState::Failed);
        self.role == Role::Server && is_over
    }

    /// Returns whether this end shuts the TCP connection down before the peer does. The server
    /// does, so that the `TIME_WAIT` state is its own; a client only if no Close came (RFC 6455,
    /// section 7.1.1).
    pub(crate) fn ends_tcp_first(&self) -> bool {
        self.role == Role::Server || self.recv != RecvState::Closed
    }
}
