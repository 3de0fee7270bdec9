//! Buffers and limits of a connection.

use super::ConfigError;
use crate::message::TungsteniteConfig;

/// As much as one read returns. A system call for 16 KiB costs more than copying them.
const DEFAULT_WRITE_BUFFER: usize = 64 * 1024;

/// The watermark if the user has set none and the write buffer is small.
const DEFAULT_WATERMARK: usize = 128 * 1024;

/// The largest frame that tungstenite and this crate accept by default.
const DEFAULT_FRAGMENT: usize = 16 * 1024 * 1024;

/// In smaller fragments, headers and system calls cost more than the payload.
const MIN_FRAGMENT: usize = 1024;

/// Settings of the transport: buffers and limits, in bytes.
///
/// The names are those of tungstenite's `WebSocketConfig`, which converts into this type. The
/// default buffers are smaller, because they are meant for many sockets.
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
    /// `write_buffer_size` is the default, which a low watermark lowers. Not an `Option`:
    /// connections that wait for their handshake hold these settings, and it would cost each of
    /// them a word.
    write_buffer_follows: bool,
    /// `None`: follows the write buffer.
    max_write_buffer_size: Option<usize>,
    /// `usize::MAX`: no limit.
    pub(crate) max_message_size: usize,
    pub(crate) max_frame_size: usize,
    pub(crate) fragment_size: usize,
    pub(crate) accept_unmasked_frames: bool,
}

impl TransportConfig {
    /// Sets how many bytes one read requests from the stream; default 64 KiB, at most 1 MiB. 0 is
    /// treated as 1.
    ///
    /// All sockets of a thread read into the same few buffers. These are as large as the largest of
    /// these sizes and live until the thread ends. An idle socket owns no buffer. Unread bytes stay
    /// with the socket, at most this many if the handler does not call `next`. They stay in the
    /// buffer if they fill an eighth of it and the thread has another one; otherwise they are
    /// copied.
    ///
    /// While 32 KiB or more of a binary payload are still to come, the stream may be read directly
    /// into the message, up to 256 KiB at once, whatever this size is.
    pub fn read_buffer_size(mut self, size: usize) -> Self {
        self.read_buffer_size = size;
        self
    }

    /// Sets how many bytes `feed` may buffer before they are written; default 64 KiB, or half of
    /// [`max_write_buffer_size`](Self::max_write_buffer_size) if that is less.
    ///
    /// 0 writes each message at once. `flush`, `send` and a waiting `next` write in any case. With
    /// 16 KiB, a server that sends many messages of 1 KiB takes half as much time again for each.
    pub fn write_buffer_size(mut self, size: usize) -> Self {
        self.write_buffer_size = size;
        self.write_buffer_follows = false;
        self
    }

    /// Sets the watermark: while more bytes than this are buffered because the peer does not read,
    /// `feed` and `send` wait; default 128 KiB, or twice the write buffer if that is more.
    ///
    /// It has to be above [`write_buffer_size`](Self::write_buffer_size) if you set that; the
    /// default of `write_buffer_size` adapts to it. A single message may be larger: it is accepted
    /// whenever the queue is not above the watermark. A socket therefore holds at most this many
    /// bytes, one message, and 4 KiB of pongs, which do not count. While pongs cannot be written, a
    /// peer may send this many bytes of pings, but no more than 128 KiB. After that, the socket
    /// stops reading until the peer reads. The default limits the memory that a slow peer may cost.
    pub fn max_write_buffer_size(mut self, max: usize) -> Self {
        self.max_write_buffer_size = Some(max);
        self
    }

    /// Sets the largest message that is accepted, in bytes; default 64 MiB as in tungstenite,
    /// `None` for no limit.
    ///
    /// A larger message closes the connection with code 1009, at the header of the frame that makes
    /// it too large. Memory is allocated as bytes arrive, not when a length is announced. Each
    /// socket may still hold one whole message, so lower the limit if your messages are small.
    ///
    /// For compressed messages, the limit applies to the plaintext and is checked while the message
    /// is inflated. The compressed bytes may exceed it by an eighth and 1 KiB.
    pub fn max_message_size(mut self, max: impl Into<Option<usize>>) -> Self {
        self.max_message_size = max.into().unwrap_or(usize::MAX);
        self
    }

    /// Sets the largest data frame that is accepted, in bytes of payload; default 16 MiB as in
    /// tungstenite, `None` for no limit.
    ///
    /// A larger frame closes the connection with code 1009, at its header. The limit does not apply
    /// to control frames, which have at most 125 bytes. In a compressed message, compressed bytes
    /// count. For frames that are sent, see [`fragment_size`](Self::fragment_size).
    pub fn max_frame_size(mut self, max: impl Into<Option<usize>>) -> Self {
        self.max_frame_size = max.into().unwrap_or(usize::MAX);
        self
    }

    /// Sets the size of fragments, in bytes of payload: a longer message is sent in fragments (RFC
    /// 6455, section 5.4); default 16 MiB, at least 1 KiB.
    ///
    /// Of a compressed message, the compressed bytes are split.
    ///
    /// It is for peers that limit the frames they receive; the default is what tungstenite and this
    /// crate accept. Peers limit the number of fragments too, so a message is sent in at most
    /// 65,536. If this size would need more, the fragments are longer. A message is split in one
    /// step, however many fragments it has; fragments of less than 4 KiB are copied.
    pub fn fragment_size(mut self, size: usize) -> Self {
        self.fragment_size = size;
        self
    }

    /// Sets whether a server accepts frames that are not masked; default `false`.
    ///
    /// RFC 6455, section 5.1 requires the server to close such a connection with code 1002, but
    /// some clients do not mask.
    pub fn accept_unmasked_frames(mut self, accept: bool) -> Self {
        self.accept_unmasked_frames = accept;
        self
    }

    /// Returns how many bytes may be buffered before they are written.
    pub(crate) fn write_buffer(&self) -> usize {
        match self.max_write_buffer_size {
            Some(max) if self.write_buffer_follows => self.write_buffer_size.min(max / 2),
            _ => self.write_buffer_size,
        }
    }

    /// Returns how many bytes may be buffered before senders wait.
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

/// Keeps every value as it is, including tungstenite's defaults: reads of 128 KiB, and writes from
/// 128 KiB on with no limit on what is buffered. tungstenite does not fragment messages, so
/// `fragment_size` gets this crate's default.
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
