//! Bytes in, messages out, and the answers that the protocol requires.

use std::num::NonZeroU16;

use super::{Endpoint, ReceivedClose, RecvState, SendState};
use crate::{
    message::{CloseCode, CloseFrame, Message},
    proto::{Decoded, ProtocolError, RecvSlot, closing_frame},
};

/// How many bytes of unanswered pings a peer that does not read may send, even if the watermark is
/// higher: what Linux buffers for a connection by default.
const MAX_UNANSWERED: usize = 128 * 1024;

impl Endpoint {
    /// Consumes bytes of the peer up to the end of the first message, and puts that message into
    /// `received`.
    ///
    /// It answers pings and a Close. A violation is put into `received` too, and fails the
    /// connection (RFC 6455, section 7.1.7): a Close with its code is buffered, and nothing more is
    /// parsed.
    #[inline]
    pub(crate) fn receive<E: From<ProtocolError>>(
        &mut self,
        bytes: &mut [u8],
        received: &mut RecvSlot<E>,
    ) -> Decoded {
        let length = bytes.len();
        match self.decoder.decode(bytes, received) {
            Ok(decoded) => {
                if let Some(Ok(control @ (Message::Ping(_) | Message::Close(_)))) = received {
                    self.answer(control);
                }
                decoded
            }
            Err(violation) => {
                self.fail(violation, received);
                Decoded {
                    taken: length,
                    frames: 0,
                }
            }
        }
    }

    /// Returns the memory that the stream may read the next part of a large payload into; see
    /// [`receive_direct`](Self::receive_direct).
    pub(crate) fn direct_read_buffer(&mut self) -> Option<&mut [u8]> {
        self.decoder.direct_read_buffer()
    }

    /// Accepts `length` bytes that the stream has read into the
    /// [`direct_read_buffer`](Self::direct_read_buffer).
    pub(crate) fn receive_direct<E: From<ProtocolError>>(
        &mut self,
        length: usize,
        received: &mut RecvSlot<E>,
    ) {
        if let Err(violation) = self.decoder.push_direct(length, received) {
            self.fail(violation, received);
        }
    }

    /// Returns whether a message has been inflated in part: [`receive`](Self::receive) has to be
    /// called again, also without bytes.
    pub(crate) fn is_inflating(&self) -> bool {
        self.decoder.is_inflating()
    }

    #[inline]
    pub(crate) fn is_receiving(&self) -> bool {
        self.recv == RecvState::Open
    }

    /// Returns whether bytes of the peer are parsed, though the user may get none of them.
    #[inline]
    pub(crate) fn is_parsing(&self) -> bool {
        matches!(self.recv, RecvState::Open | RecvState::Closing)
    }

    /// Returns whether the peer's Close was received.
    #[inline]
    pub(crate) fn has_received_close(&self) -> bool {
        self.recv == RecvState::Closed
    }

    /// Ends the direction from the peer without a Close: the stream has ended or failed, or the
    /// user has given up.
    pub(crate) fn stop_receiving(&mut self) {
        if self.is_parsing() {
            self.end_receiving(RecvState::Gone);
        }
    }

    /// Returns the frame of the peer's Close, once it was received with a code.
    pub(crate) fn close_frame(&self) -> Option<CloseFrame> {
        self.received_close.as_ref()?.frame.clone()
    }

    /// Keeps the peer's Close for the user if it was received, because the message itself was
    /// discarded.
    pub(crate) fn keep_close_pending(&mut self) {
        if let Some(close) = &mut self.received_close {
            close.is_pending = true;
        }
    }

    /// Returns the peer's Close once, if it was kept.
    pub(crate) fn take_pending_close(&mut self) -> Option<Message> {
        let close = self.received_close.as_mut()?;
        let is_pending = std::mem::take(&mut close.is_pending);
        is_pending.then(|| Message::Close(close.frame.clone()))
    }

    /// Returns whether one more pong can be buffered. If not, write before you read on, so that a
    /// peer that reads gets a pong for each ping.
    #[inline]
    pub(crate) fn has_pong_room(&self) -> bool {
        self.write_buffer.has_pong_room()
    }

    /// Returns `true` once after the space for pongs ran out. The task then has to yield before the
    /// peer counts as one that does not read, because the runtime may have held up the write.
    pub(crate) fn yields_for_pongs(&mut self) -> bool {
        self.write_buffer.yields_for_pongs()
    }

    /// Returns whether reading pauses: the peer sends pings and does not read the pongs. The user's
    /// messages do not count; otherwise two peers that both send first would both wait.
    #[inline]
    pub(crate) fn is_paused(&self) -> bool {
        let unanswered = self.write_buffer.unanswered_pings();
        unanswered > 0 && unanswered > self.watermark.min(MAX_UNANSWERED)
    }

    #[inline(never)]
    fn answer(&mut self, control: &Message) {
        match control {
            Message::Ping(payload) if self.send == SendState::Open => {
                self.write_buffer.push_pong(payload.clone());
            }
            Message::Close(frame) => self.answer_close(frame.clone()),
            _ => {}
        }
    }

    /// Returns whether the answer to the last ping of this end's own has arrived, once.
    pub(crate) fn take_pong(&mut self) -> bool {
        self.decoder.take_pong()
    }

    /// Returns whether part of a data message has arrived since the last call, if anything has
    /// arrived since (`has_read`).
    pub(crate) fn take_received_data(&mut self, has_read: bool) -> bool {
        self.decoder.take_data(has_read)
    }

    /// Answers the peer's Close with its code (RFC 6455, section 5.5.1).
    fn answer_close(&mut self, frame: Option<CloseFrame>) {
        self.write_buffer.discard_waiting_pong();
        if self.close_code.is_none() {
            let code = frame.as_ref().map_or(CloseCode::Status, |it| it.code);
            self.close_code = NonZeroU16::new(code.into());
            self.is_closed_by_peer = true;
        }
        self.received_close = Some(Box::new(ReceivedClose {
            frame: frame.clone(),
            is_pending: false,
        }));
        // A received frame is valid to send.
        let _ = self.close(frame);
        self.end_receiving(RecvState::Closed);
    }

    /// Fails the connection (RFC 6455, section 7.1.7).
    #[cold]
    fn fail<E: From<ProtocolError>>(
        &mut self,
        violation: ProtocolError,
        received: &mut RecvSlot<E>,
    ) {
        // These frames are always valid to send.
        let _ = self.close(Some(closing_frame(&violation)));
        self.end_receiving(RecvState::Failed);
        *received = Some(Err(violation.into()));
    }

    fn end_receiving(&mut self, state: RecvState) {
        self.recv = state;
        self.decoder.discard();
    }
}
