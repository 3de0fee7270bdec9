//! One end of a WebSocket connection without its stream: the rules of RFC 6455 for an endpoint.
//!
//! Bytes and messages go in; messages and bytes come out. The endpoint decides what to answer, what
//! fails the connection, who closes first, and when to pause reading. The driver around it moves
//! the bytes.

mod receiving;
mod sending;
#[cfg(test)]
mod tests;

use std::num::NonZeroU16;

use super::{
    recv::Decoder,
    send::{Compressor, WriteBuffer},
};
use crate::{
    config::{Compression, TransportConfig},
    message::{CloseFrame, Role},
};

/// The direction from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RecvState {
    /// More messages may come.
    Open,
    /// Our Close has ended the messages, because of a timeout. What arrives is discarded, up to the
    /// peer's Close.
    Closing,
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
    /// The length of our Close frame; 0 until it is buffered.
    close_len: u8,
    /// The code of the first Close that was sent or received.
    close_code: Option<NonZeroU16>,
    /// That was the peer's.
    is_closed_by_peer: bool,
    /// A data message was buffered since this was asked last.
    has_sent_data: bool,
    decoder: Decoder,
    write_buffer: WriteBuffer,
    /// `None` if no compression was agreed.
    compressor: Option<Box<Compressor>>,
    /// Messages from this length on go to the compressor: `usize::MAX` without one, 0 while it
    /// is busy.
    min_compressed: usize,
    /// Writes start when more bytes than this are buffered.
    write_buffer_size: usize,
    /// Senders wait while more bytes than this are buffered.
    watermark: usize,
    /// The largest payload of a frame that is sent, unless that would need too many frames.
    fragment: usize,
    received_close: Option<Box<ReceivedClose>>,
}

/// The peer's Close.
struct ReceivedClose {
    /// `None` for a Close without a code.
    frame: Option<CloseFrame>,
    /// The Close arrived in a call that discards messages: the user still has to receive it.
    is_pending: bool,
}

impl Endpoint {
    pub(crate) fn new(
        role: Role,
        limits: &TransportConfig,
        compression: Option<&Compression>,
    ) -> Self {
        let compressor = compression.and_then(Compressor::new).map(Box::new);
        let mut this = Self {
            role,
            recv: RecvState::Open,
            send: SendState::Open,
            close_len: 0,
            close_code: None,
            is_closed_by_peer: false,
            has_sent_data: false,
            decoder: Decoder::new(role, limits, compression),
            write_buffer: WriteBuffer::new(role),
            compressor,
            min_compressed: usize::MAX,
            // Tests may pass settings that were not validated. What is buffered above the watermark
            // must still be written, and fragments must not be empty.
            write_buffer_size: limits.write_buffer().min(limits.watermark()),
            watermark: limits.watermark(),
            fragment: limits.fragment_size,
            received_close: None,
        };
        this.note_compressor();
        this
    }

    /// Returns whether compression was agreed.
    pub(crate) fn has_compression(&self) -> bool {
        self.decoder.has_compression()
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        State {
            recv: self.recv,
            send: self.send,
        }
    }

    /// Returns whether the server ends the TCP connection now (RFC 6455, section 7.1.1): the
    /// closing handshake is over, or the connection has failed. A client waits for the server's
    /// end.
    pub(crate) fn ends_tcp_at_once(&self) -> bool {
        let is_over = matches!(self.recv, RecvState::Closed | RecvState::Failed);
        self.role == Role::Server && is_over
    }

    /// Returns whether this end shuts the TCP connection down before the peer does. A server does,
    /// so that it is the one in `TIME_WAIT`. A client does so only if no Close arrived (RFC 6455,
    /// section 7.1.1).
    pub(crate) fn ends_tcp_first(&self) -> bool {
        self.role == Role::Server || self.recv != RecvState::Closed
    }
}
