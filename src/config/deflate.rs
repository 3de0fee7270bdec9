//! Settings of compression, and what a handshake has agreed (RFC 7692).

use super::ConfigError;

/// At 4 KiB, level 3 sends a third less than level 1 for twice the time; level 6 saves a further
/// 7 % for a fifth more (`benches/compare`, zlib-rs).
const DEFAULT_LEVEL: u8 = 3;

/// In a shorter message, there is little to find.
const DEFAULT_THRESHOLD: u32 = 128;

/// The window of a takeover: 4 KiB of history for each direction.
const DEFAULT_WINDOW: u8 = 12;

/// The largest window, 32 KiB (RFC 1951, section 2). The algorithm needs no memory for it unless
/// something is taken over.
pub(crate) const MAX_WINDOW: u8 = 15;

/// The smallest window that zlib compresses with.
pub(crate) const MIN_WINDOW: u8 = 9;

/// Compression of messages by permessage-deflate (RFC 7692), for
/// [`set_deflate`](crate::WebSocketConfig::set_deflate). It needs the feature `deflate`.
///
/// Both ends have to agree, so a peer without compression is served without. The
/// [guide](crate::guide::compression) says when compression pays, what it costs, and why secrets
/// must not be compressed together with text of others.
///
/// ```
/// use anyws::{DeflateConfig, Takeover, WebSocketConfig};
///
/// let deflate = DeflateConfig::new()
///     .send_takeover(Takeover::Window)
///     .receive_takeover(true);
/// let config = WebSocketConfig::new().set_deflate(deflate);
/// # #[cfg(feature = "deflate")]
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct DeflateConfig {
    pub(crate) send_takeover: Takeover,
    pub(crate) receive_takeover: bool,
    /// `None` for the default, which depends on the takeover.
    send_window_bits: Option<u8>,
    receive_window_bits: Option<u8>,
    pub(crate) level: u8,
    pub(crate) threshold: u32,
}

/// What an end keeps of the messages that it has sent, so that later ones can refer to them.
///
/// With takeover, similar short messages become two to four times smaller than without. What is
/// sent uncompressed is not kept. The figures below are for messages of about 300 bytes at level 1;
/// the [guide](crate::guide::compression#which-takeover) compares the variants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Takeover {
    /// Nothing: each message is compressed by itself. An idle socket holds no memory for it.
    #[default]
    None,
    /// The last bytes of plaintext, as many as the window has: 4 KiB with the default of 12 bits.
    /// For each message, a compressor of the thread is filled with them. With 12 bits, that takes
    /// about as long as it takes to compress 300 bytes without takeover; with 15 bits, five times
    /// that. It is free for several messages of one socket in a row.
    Window,
    /// A compressor for each socket, with 260 KiB at 12 bits and 380 KiB at 15. It is for a few
    /// busy sockets: one is five times as fast as without takeover. The compressors of hundreds of
    /// sockets do not fit into the processor's caches, and are no faster than
    /// [`Window`](Self::Window).
    ///
    /// The compressor forgets everything when a message would have become larger, and when a
    /// [`PreparedMessage`](crate::PreparedMessage) is sent to several sockets.
    Dedicated,
}

impl DeflateConfig {
    /// Returns the default settings: no takeover in either direction, level 3, and compression of
    /// messages from 128 bytes on.
    pub fn new() -> Self {
        Self {
            send_takeover: Takeover::None,
            receive_takeover: false,
            send_window_bits: None,
            receive_window_bits: None,
            level: DEFAULT_LEVEL,
            threshold: DEFAULT_THRESHOLD,
        }
    }

    /// Sets what this end keeps from one message to the next of those that it sends; default
    /// [`Takeover::None`].
    ///
    /// If the peer does not allow takeover (RFC 7692, section 7.1.1), there is none. Browsers allow
    /// it. A client of [`testing`](crate::guide::testing#compression) allows it only with
    /// [`receive_takeover`](Self::receive_takeover).
    pub fn send_takeover(mut self, takeover: Takeover) -> Self {
        self.send_takeover = takeover;
        self
    }

    /// Sets whether the peer may refer to its earlier messages; default `false`.
    ///
    /// A socket then holds the last bytes of plaintext that came compressed, up to the receive
    /// window.
    pub fn receive_takeover(mut self, allow: bool) -> Self {
        self.receive_takeover = allow;
        self
    }

    /// Sets the largest window for what this end sends, as a power of two in bytes: 9 to 15, which
    /// is 512 bytes to 32 KiB; default 12 with takeover and 15 without.
    ///
    /// The peer may ask for a smaller window (RFC 7692, section 7.1.2), which is then used. An
    /// offer that demands 8 bits is declined: zlib cannot compress with that window.
    pub fn send_window_bits(mut self, bits: u8) -> Self {
        self.send_window_bits = Some(bits);
        self
    }

    /// Sets the largest window that the peer may use, as a power of two in bytes: 9 to 15, which is
    /// 512 bytes to 32 KiB; default 12 with takeover and 15 without.
    ///
    /// A client that cannot be told a window (RFC 7692, section 7.1.2.2) uses 15 bits. With a
    /// smaller setting, the server does not let such a client take over.
    pub fn receive_window_bits(mut self, bits: u8) -> Self {
        self.receive_window_bits = Some(bits);
        self
    }

    /// Sets how hard to compress, from 1 (fast) to 9 (small); default 3.
    ///
    /// Level 1 is the one for throughput. At 300 bytes it takes less than half of the time of
    /// level 3 and sends a seventh more; at 4 KiB, half of the time and a third more.
    pub fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// Sets the length in bytes from which on messages are compressed; default 128. 0 compresses
    /// all but empty ones, and `usize::MAX` none.
    ///
    /// A message that would become larger is sent uncompressed in any case.
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = u32::try_from(bytes).unwrap_or(u32::MAX);
        self
    }

    /// Returns the window for what this end sends.
    pub(crate) fn send_window(&self) -> u8 {
        let takes_over = self.send_takeover != Takeover::None;
        window(self.send_window_bits, takes_over)
    }

    /// Returns the window that the peer may use.
    pub(crate) fn receive_window(&self) -> u8 {
        window(self.receive_window_bits, self.receive_takeover)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (setter, bits) in [
            ("send_window_bits", self.send_window()),
            ("receive_window_bits", self.receive_window()),
        ] {
            if !(MIN_WINDOW..=MAX_WINDOW).contains(&bits) {
                return Err(ConfigError::WindowBits { setter, bits });
            }
        }
        if !(1..=9).contains(&self.level) {
            return Err(ConfigError::CompressionLevel(self.level));
        }
        Ok(())
    }
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the window that is set, or the default.
fn window(bits: Option<u8>, takes_over: bool) -> u8 {
    bits.unwrap_or(if takes_over {
        DEFAULT_WINDOW
    } else {
        MAX_WINDOW
    })
}

/// What both ends have agreed, as one of them has to keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compression {
    pub(crate) level: u8,
    pub(crate) threshold: u32,
    pub(crate) takeover: Takeover,
    /// The window of what is sent. Below 9 bits, nothing can be compressed.
    pub(crate) window: u8,
    /// The window of the messages that the peer refers to; `None` if it refers to none.
    pub(crate) peer_window: Option<u8>,
}
