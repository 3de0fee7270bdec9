//! Messages in, bytes out.

use std::{mem, num::NonZeroU16};

use super::{Endpoint, RecvState, SendState};
use crate::{
    message::{Bytes, CloseCode, CloseFrame, Message},
    proto::{
        InvalidMessage, Outgoing, PreparedMessage, WriteBuffer,
        recv::PING_LEN,
        send::{Progress, Ready, STEP},
    },
};

impl Endpoint {
    /// Returns whether a message may be sent: no Close was sent or received (RFC 6455, section
    /// 5.5.1), and nothing has failed.
    #[inline]
    pub(crate) fn can_send(&self) -> bool {
        self.send == SendState::Open && self.recv == RecvState::Open
    }

    /// Buffers a message that [may be sent](Self::can_send), or starts to
    /// [compress](Self::is_compressing) it. Returns the number of its frames, and of those that
    /// cost as much as the rest of the work.
    #[inline]
    pub(crate) fn send(&mut self, message: &mut Outgoing) -> u32 {
        if message.is_control() {
            return self.send_control(message);
        }
        self.has_sent_data = true;
        if message.len() >= self.min_compressed {
            return self.compress(message, None);
        }
        self.write_buffer.push(message, self.fragment)
    }

    /// Does the same with a message that was prepared, if it is a valid one.
    pub(crate) fn send_prepared(&mut self, message: PreparedMessage) -> u32 {
        let is_data = !message.is_control();
        if self.compressor.is_none()
            && is_data
            && message
                .check()
                .is_ok_and(|it| self.write_buffer.push_short(it, self.fragment))
        {
            self.has_sent_data = true;
            return 1;
        }
        let is_compressed = self.compressor.is_some() && is_data;
        let prepared = (is_compressed && message.is_special()).then(|| message.clone());
        let Ok(mut message) = message.into_outgoing() else {
            return 0;
        };
        if prepared.is_none() {
            return self.send(&mut message);
        }
        self.has_sent_data = true;
        self.compress(&mut message, prepared)
    }

    /// Returns whether a message is being compressed. It is not buffered yet.
    #[inline]
    pub(crate) fn is_compressing(&self) -> bool {
        self.min_compressed == 0
    }

    #[inline(never)]
    fn compress(&mut self, message: &mut Outgoing, prepared: Option<PreparedMessage>) -> u32 {
        // Senders wait while a message is compressed; one that does not must not overtake it.
        let before = self.stop_compressing();
        let message = message.take();
        let progress = match &mut self.compressor {
            Some(compressor) => compressor.start(message, prepared),
            None => return before,
        };
        before + self.buffer(progress)
    }

    /// Compresses the next part of the message that is being compressed, and buffers it once it is
    /// done. Returns how many frames' work that was.
    pub(crate) fn go_on_compressing(&mut self) -> u32 {
        match &mut self.compressor {
            Some(compressor) => {
                let progress = compressor.go_on();
                // A socket that compresses is not idle.
                self.has_sent_data = true;
                self.buffer(progress)
            }
            None => 0,
        }
    }

    /// Buffers the message that is being compressed as it is. Returns the number of its frames.
    pub(crate) fn stop_compressing(&mut self) -> u32 {
        let compressor = self.compressor.as_mut();
        let ready = compressor.and_then(|compressor| compressor.stop());
        self.buffer(Progress { ready, work: 0 })
    }

    /// Sends all that follows as it is.
    pub(crate) fn end_compression(&mut self) {
        self.stop_compressing();
        self.compressor = None;
        self.note_compressor();
    }

    fn buffer(&mut self, progress: Progress) -> u32 {
        self.note_compressor();
        let Progress { ready, work } = progress;
        work + match ready {
            Some(Ready::Compressed(mut message)) => self
                .write_buffer
                .push_compressed(&mut message, self.fragment),
            Some(Ready::Plain(mut message)) => self.write_buffer.push(&mut message, self.fragment),
            None => 0,
        }
    }

    /// Notes which messages go to the compressor.
    pub(super) fn note_compressor(&mut self) {
        let compressor = self.compressor.as_ref();
        self.min_compressed = compressor.map_or(usize::MAX, |compressor| compressor.min_len());
    }

    /// Buffers a ping of this end's own. [`take_pong`](Self::take_pong) returns whether its answer
    /// has arrived; the answer is not a message.
    pub(crate) fn ping(&mut self) {
        // No other pong of the peer has this payload, except by chance.
        let payload: [u8; PING_LEN] = rand::random();
        self.decoder.expect_pong(payload);
        let message = Message::Ping(Bytes::copy_from_slice(&payload));
        if let Ok(mut ping) = Outgoing::new(message) {
            self.send(&mut ping);
        }
    }

    /// Ends the messages of the peer with a Close of this end's own. What arrives until the peer's
    /// Close is discarded.
    pub(crate) fn give_up(&mut self, frame: CloseFrame) {
        // The frame is one of this crate, and valid.
        let _ = self.close(Some(frame));
        if self.is_receiving() {
            self.recv = RecvState::Closing;
        }
    }

    /// Returns whether a data message was buffered since the last call.
    pub(crate) fn take_sent_data(&mut self) -> bool {
        mem::take(&mut self.has_sent_data)
    }

    #[cold]
    fn send_control(&mut self, message: &mut Outgoing) -> u32 {
        if message.is_close() {
            return self.send_close(message);
        }
        self.write_buffer.push_control(message);
        1
    }

    /// Buffers a Close frame, unless nothing may be sent any more.
    pub(crate) fn close(&mut self, frame: Option<CloseFrame>) -> Result<(), InvalidMessage> {
        let mut close = Outgoing::new(Message::Close(frame))?;
        if self.can_send() {
            self.send_close(&mut close);
        }
        Ok(())
    }

    #[cold]
    fn send_close(&mut self, close: &mut Outgoing) -> u32 {
        self.send = SendState::Closed;
        // A socket may wait long for the peer's Close, and needs no window for that.
        self.end_compression();
        // A waiting pong is sent before the Close, not after it.
        self.write_buffer.push_last_pong();
        let code = close.close_code().unwrap_or(CloseCode::Status);
        self.close_code = self.close_code.or_else(|| NonZeroU16::new(code.into()));
        let before = self.write_buffer.len();
        self.write_buffer.push_control(close);
        let length = self.write_buffer.len() - before;
        self.close_len = u8::try_from(length).unwrap_or(u8::MAX);
        1
    }

    /// Returns the code of the first Close of the connection, and whether the peer has sent it.
    pub(crate) fn first_close(&self) -> Option<(CloseCode, bool)> {
        Some((self.close_code?.get().into(), self.is_closed_by_peer))
    }

    /// Returns the write buffer, for a caller that has a stream.
    #[inline]
    pub(crate) fn write_buffer(&mut self) -> &mut WriteBuffer {
        &mut self.write_buffer
    }

    /// Returns whether something is not yet written.
    #[inline]
    pub(crate) fn has_unwritten(&self) -> bool {
        !self.write_buffer.is_empty() || self.is_compressing()
    }

    /// Returns how many bytes are buffered and not yet written.
    #[inline]
    pub(crate) fn unwritten(&self) -> usize {
        self.write_buffer.len()
    }

    /// Returns whether a write may still succeed.
    pub(crate) fn can_write(&self) -> bool {
        self.send != SendState::Failed
    }

    /// Returns whether enough is buffered to write.
    #[inline]
    pub(crate) fn should_write(&self) -> bool {
        self.write_buffer.buffered() > self.write_buffer_size
    }

    /// Returns how many bytes may be buffered before senders have to wait.
    pub(crate) fn room(&self) -> usize {
        let buffered = self.write_buffer.buffered();
        let room = self.watermark.saturating_add(1).saturating_sub(buffered);
        match &self.compressor {
            None => room,
            Some(_) if self.is_compressing() => 0,
            // A longer message is compressed in several turns, and others have to wait for it.
            Some(_) => room.min(STEP),
        }
    }

    /// Returns whether so much is buffered that senders have to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.write_buffer.buffered() > self.watermark || self.is_compressing()
    }

    /// Returns whether messages of the user are not yet written. A Close that nobody gets is not a
    /// loss.
    pub(crate) fn has_unwritten_messages(&self) -> bool {
        self.write_buffer.buffered() > usize::from(self.close_len) || self.is_compressing()
    }

    /// Ends the direction to the peer. What is buffered is lost.
    pub(crate) fn stop_sending(&mut self) {
        self.send = SendState::Failed;
        self.end_compression();
        self.write_buffer.clear();
    }
}
