//! Buffers and limits of a connection.

use super::ConfigError;
use crate::message::TungsteniteConfig;

/// As much as one read takes. A call of the system for 16 KiB costs more than to copy them.
const DEFAULT_WRITE_BUFFER: usize = 64 * 1024;

/// The watermark where the user has set none and the write buffer is small.
const DEFAULT_WATERMARK: usize = 128 * 1024;

/// What tungstenite and this crate accept as a frame.
const DEFAULT_FRAGMENT: usize = 16 * 1024 * 1024;

/// Below it headers and calls of the system cost more than the payload.
const MIN_FRAGMENT: usize = 1024;

/// Settings of the transport: buffers and limits, in bytes.
///
/// The names are those of tungstenite's `WebSocketConfig`, which converts into this type; the
/// defaults of the buffers are smaller, for many sockets and not for one.
///
/// ```
/// use anyws::{TransportConfig, WebSocketConfig};
///
/// let transport = TransportConfig::default().max_message_size(1024 * 1024);
/// let config = WebSocketConfig::new().set_transport(transport);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct TransportConfig {
    pub(crate) read_buffer_size: usize,
    write_buffer_size: usize,
    /// It is the default, which a low watermark lowers. No `Option`: connections wait for their
    /// handshake with these settings, and that would cost each of them a word.
    write_buffer_follows: bool,
    /// `None` follows the write buffer.
    max_write_buffer_size: Option<usize>,
    /// `usize::MAX` is no limit.
    pub(crate) max_message_size: usize,
    pub(crate) max_frame_size: usize,
    pub(crate) fragment_size: usize,
    pub(crate) accept_unmasked_frames: bool,
}

impl TransportConfig {
    /// Sets how many bytes are asked of the stream in one read; default 64 KiB, at most 1 MiB.
    ///
    /// The buffers are the thread's: its sockets read into the same few, which are as large as the
    /// largest of these sizes and kept until the thread ends. An idle socket owns none. One that
    /// has read more than its handler has taken keeps the rest, up to this many bytes for a handler
    /// that does not call `next`: in the buffer, if it fills an eighth of that and the thread has
    /// another one, else as a copy. 0 is taken as 1.
    ///
    /// A binary payload of which 32 KiB or more are still to come may be read into the message
    /// itself, up to 256 KiB at once, whatever this size is.
    pub fn read_buffer_size(mut self, size: usize) -> Self {
        self.read_buffer_size = size;
        self
    }

    /// Sets how many bytes may be buffered by `feed` before they are written; default 64 KiB, or
    /// half of
    /// [`max_write_buffer_size`](Self::max_write_buffer_size) if that is less.
    ///
    /// 0 writes each message at once. `flush`, `send` and a waiting `next` write in any case. With
    /// 16 KiB a server that sends many messages of 1 KiB takes half as much time again for each.
    pub fn write_buffer_size(mut self, size: usize) -> Self {
        self.write_buffer_size = size;
        self.write_buffer_follows = false;
        self
    }

    /// Sets the watermark: while more bytes than this are buffered because the peer does not read,
    /// `feed` and `send` wait; default 128 KiB, or twice the write buffer if that is more.
    ///
    /// It has to be above [`write_buffer_size`](Self::write_buffer_size), if that is set; the
    /// default of that follows. A single message may be larger: it is accepted whenever the queue
    /// is not above the watermark. So a socket holds at most this many bytes, one message, and 4
    /// KiB of answers to pings, which do not count. While these cannot be written, a peer may send
    /// this many bytes of pings, but no more than 128 KiB; then it is not read from until it reads.
    /// The default is what a slow peer may cost in memory.
    pub fn max_write_buffer_size(mut self, max: usize) -> Self {
        self.max_write_buffer_size = Some(max);
        self
    }

    /// Sets the largest message that is received, in bytes; default 64 MiB, `None` for no limit.
    ///
    /// A larger one closes the connection with code 1009, at the header of the frame that makes it
    /// too large. Memory is taken as bytes arrive, not when a length is announced, but each socket
    /// may come to hold one message: a server whose messages are small does well to lower the
    /// limit. The default is tungstenite's.
    pub fn max_message_size(mut self, max: impl Into<Option<usize>>) -> Self {
        self.max_message_size = max.into().unwrap_or(usize::MAX);
        self
    }

    /// Sets the largest data frame that is received, in bytes of payload; default 16 MiB, `None`
    /// for no limit.
    ///
    /// A larger one closes the connection with code 1009, at its header. Control frames, which have
    /// at most 125 bytes, are not held to it. What is sent is cut by
    /// [`fragment_size`](Self::fragment_size). The default is tungstenite's.
    pub fn max_frame_size(mut self, max: impl Into<Option<usize>>) -> Self {
        self.max_frame_size = max.into().unwrap_or(usize::MAX);
        self
    }

    /// Sets the length above which a message is sent in fragments (RFC 6455, section 5.4), in bytes
    /// of payload for each; default 16 MiB, at least 1 KiB.
    ///
    /// It is for peers that limit the frames they receive; the default is what tungstenite and this
    /// crate accept. A message is sent in 65,536 fragments at most, because peers limit their
    /// number, too: where the size would make more, the fragments are longer. A message is cut in
    /// one step, however many fragments it has; those of less than 4 KiB are copied.
    pub fn fragment_size(mut self, size: usize) -> Self {
        self.fragment_size = size;
        self
    }

    /// Sets whether a server takes frames that are not masked; default `false`.
    ///
    /// RFC 6455, section 5.1 wants the connection closed with code 1002; some clients do not mask.
    pub fn accept_unmasked_frames(mut self, accept: bool) -> Self {
        self.accept_unmasked_frames = accept;
        self
    }

    /// Returns how much may be buffered before it is written.
    pub(crate) fn write_buffer(&self) -> usize {
        match self.max_write_buffer_size {
            Some(max) if self.write_buffer_follows => self.write_buffer_size.min(max / 2),
            _ => self.write_buffer_size,
        }
    }

    /// Returns how much may be buffered before senders wait.
    pub(crate) fn watermark(&self) -> usize {
        let follow = || self.write_buffer().saturating_mul(2).max(DEFAULT_WATERMARK);
        self.max_write_buffer_size.unwrap_or_else(follow)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.watermark() <= self.write_buffer() {
            return Err(ConfigError::WriteLimit {
                max: self.watermark(),
                write: self.write_buffer(),
            });
        }
        if self.max_message_size == 0 {
            return Err(ConfigError::ZeroLimit("max_message_size"));
        }
        if self.max_frame_size == 0 {
            return Err(ConfigError::ZeroLimit("max_frame_size"));
        }
        if self.fragment_size < MIN_FRAGMENT {
            return Err(ConfigError::FragmentSize(self.fragment_size));
        }
        Ok(())
    }
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            read_buffer_size: 64 * 1024,
            write_buffer_size: DEFAULT_WRITE_BUFFER,
            write_buffer_follows: true,
            max_write_buffer_size: None,
            max_message_size: 64 * 1024 * 1024,
            max_frame_size: 16 * 1024 * 1024,
            fragment_size: DEFAULT_FRAGMENT,
            accept_unmasked_frames: false,
        }
    }
}

/// Takes every value as it is, tungstenite's defaults too: reads of 128 KiB, and writes from 128
/// KiB on with no bound on what is buffered. tungstenite sends no fragments: their size is the
/// default.
impl From<TungsteniteConfig> for TransportConfig {
    fn from(config: TungsteniteConfig) -> Self {
        Self {
            read_buffer_size: config.read_buffer_size,
            write_buffer_size: config.write_buffer_size,
            write_buffer_follows: false,
            max_write_buffer_size: Some(config.max_write_buffer_size),
            max_message_size: config.max_message_size.unwrap_or(usize::MAX),
            max_frame_size: config.max_frame_size.unwrap_or(usize::MAX),
            fragment_size: DEFAULT_FRAGMENT,
            accept_unmasked_frames: config.accept_unmasked_frames,
        }
    }
}
