//! Settings of a socket and of the handshake that leads to it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::{
    ConfigError, Result,
    handshake::{AllowedOrigins, ProtocolChoice, RequestOrigin, Supported},
    message::TungsteniteConfig,
    rt::{Runtime, Timeout},
};

/// Long enough for any network that works, short enough to free what a dead peer holds.
const DEFAULT_TIMEOUT: Timeout = Timeout::Default(Duration::from_secs(10));

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

    /// Sets how many bytes may be buffered by `feed` before they are written; default 64 KiB, or half of
    /// [`max_write_buffer_size`](Self::max_write_buffer_size) if that is less.
    ///
    /// 0 writes each message at once. `flush`, `send` and a waiting `next` write in any case. With 16
    /// KiB a server that sends many messages of 1 KiB takes half as much time again for each.
    pub fn write_buffer_size(mut self, size: usize) -> Self {
        self.write_buffer_size = size;
        self.write_buffer_follows = false;
        self
    }

    /// Sets the watermark: while more bytes than this are buffered because the peer does not read,
    /// `feed` and `send` wait; default 128 KiB, or twice the write buffer if that is more.
    ///
    /// It has to be above [`write_buffer_size`](Self::write_buffer_size), if that is set; the default
    /// of that follows. A single message may be larger: it is accepted whenever the queue is not
    /// above the watermark. So a socket holds at most this many bytes, one message, and 4 KiB of
    /// answers to pings, which do not count. While these cannot be written, a peer may send this many
    /// bytes of pings, but no more than 128 KiB; then it is not read from until it reads. The default
    /// is what a slow peer may cost in memory.
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
    /// number, too: where the size would make more, the fragments are longer. A message is cut in one
    /// step, however many fragments it has; those of less than 4 KiB are copied.
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

    fn validate(&self) -> Result<(), ConfigError> {
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
/// KiB on with no bound on what is buffered. tungstenite sends no fragments: their size is the default.
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

/// Settings of the handshake, of the socket that follows, and of the runtime under both.
///
/// The setters chain. What cannot work is found by [`validate`](Self::validate), and at an upgrade
/// it is an answer of 500 and a call of `on_failed_upgrade`, never a panic.
///
/// ```
/// use anyws::{TransportConfig, WebSocketConfig};
///
/// let config = WebSocketConfig::new()
///     .set_transport(TransportConfig::default().write_buffer_size(128 * 1024))
///     .set_protocols(["graphql-ws", "graphql-transport-ws"])
///     .set_allowed_origins(["https://app.example"]);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct WebSocketConfig {
    pub(crate) transport: TransportConfig,
    pub(crate) protocols: Supported,
    pub(crate) require_protocol: bool,
    pub(crate) allowed_origins: Option<AllowedOrigins>,
    pub(crate) allow_missing_origin: bool,
    pub(crate) runtime: Option<Arc<dyn Runtime>>,
    pub(crate) head_timeout: Timeout,
    pub(crate) upgrade_timeout: Timeout,
    pub(crate) close_timeout: Timeout,
}

impl WebSocketConfig {
    /// Makes the default settings: those of [`TransportConfig::default`], no subprotocol, every
    /// origin, and 10 s for each timeout.
    pub fn new() -> Self {
        Self {
            transport: TransportConfig::default(),
            protocols: Supported::default(),
            require_protocol: false,
            allowed_origins: None,
            allow_missing_origin: false,
            runtime: None,
            head_timeout: DEFAULT_TIMEOUT,
            upgrade_timeout: DEFAULT_TIMEOUT,
            close_timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Sets buffers and limits: a [`TransportConfig`], or tungstenite's `WebSocketConfig`.
    pub fn set_transport(mut self, transport: impl Into<TransportConfig>) -> Self {
        self.transport = transport.into();
        self
    }

    /// Sets the supported subprotocols, the preferred one first; default none.
    ///
    /// The first one that the client offers is chosen (RFC 6455, section 4.2.2); names are
    /// case-sensitive tokens.
    ///
    /// A client that offers some, of which none is supported, is accepted without one: that is
    /// legal (section 4.2.2). Some clients fail the connection by themselves then, Chromium, Node's
    /// undici and websocket-client among them: list every name that your clients offer.
    pub fn set_protocols<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        self.protocols = Supported::new(protocols.into_iter().map(Into::into));
        self
    }

    /// Sets whether a client that offers no supported subprotocol is refused with 400; default
    /// `false`: it is accepted without one.
    ///
    /// Where no subprotocol is supported and no callback chooses one, nobody could connect: that is
    /// [`ConfigError::NoProtocols`] at the upgrade.
    pub fn set_require_protocol(mut self, require: bool) -> Self {
        self.require_protocol = require;
        self
    }

    /// Sets the origins that may connect; default all. Others are refused with 403.
    ///
    /// Browsers send cookies along to any server and name the page's origin: a server that trusts
    /// cookies has to set this (RFC 6455, section 10.2). Programs other than browsers send any
    /// `Origin` they like. Each entry is one of these:
    ///
    /// - `scheme://host` or `scheme://host:port`: scheme, host and port have to match exactly. The
    ///   default port of a scheme may be left out.
    /// - `scheme://*.domain`, with a port or without: any host with one or more labels before
    ///   `domain`, but not `domain` itself. Scheme and port have to match exactly.
    /// - `null`: pages whose origin is private, in a sandboxed frame or a file for example. Every
    ///   site can make such a page, so do not allow it where cookies decide who the user is.
    /// - `file://`: pages that are files, in browsers that say so, as some of Cordova's do.
    ///
    /// A request with two lines of `Origin` is always refused, and one without is refused unless
    /// [`set_allow_missing_origin`](Self::set_allow_missing_origin) says otherwise. The list is
    /// parsed here, once, and not for each request.
    pub fn set_allowed_origins<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        let origins = origins.into_iter().map(Into::into);
        self.allowed_origins = Some(AllowedOrigins::parse(origins));
        self
    }

    /// Sets whether requests without any `Origin` may connect where
    /// [`set_allowed_origins`](Self::set_allowed_origins) restricts them; default `false`.
    ///
    /// Browsers always send `Origin` with a handshake; native apps and other programs often do not.
    pub fn set_allow_missing_origin(mut self, allow: bool) -> Self {
        self.allow_missing_origin = allow;
        self
    }

    /// Sets the runtime that spawns and sleeps for these sockets; default the one of the request's
    /// extensions, else [`rt::detect`](crate::rt::detect).
    pub fn set_runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Sets how long the head of a request may take, where [`accept`](crate::accept) or
    /// [`ServerHandshake::read`](crate::ServerHandshake::read) reads it; default 10 s, enough for any network
    /// that works.
    ///
    /// Without a runtime the default is off, and a timeout set here is [`Error::NoRuntime`].
    ///
    /// [`Error::NoRuntime`]: crate::Error::NoRuntime
    pub fn set_head_timeout(mut self, timeout: Duration) -> Self {
        self.head_timeout = Timeout::Configured(timeout);
        self
    }

    /// Sets how long the HTTP server may take to send the answer of 101 and hand over the connection,
    /// from [`on_upgrade`](crate::WebSocketUpgrade::on_upgrade) or
    /// [`accept`](crate::WebSocketUpgrade::accept) on; default 10 s, which only a server takes that
    /// never sends the answer. On a bare stream it bounds the writing of the answer.
    ///
    /// Without a runtime the default is off, and a timeout set here is [`Error::NoRuntime`].
    ///
    /// [`Error::NoRuntime`]: crate::Error::NoRuntime
    pub fn set_upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.upgrade_timeout = Timeout::Configured(timeout);
        self
    }

    /// Sets how long the closing handshake and the end of the TCP connection may take; default 10 s,
    /// after which a dead peer holds nothing any more.
    ///
    /// Without a runtime nothing waits for the peer's Close, and a timeout set here is
    /// [`Error::NoRuntime`].
    ///
    /// [`Error::NoRuntime`]: crate::Error::NoRuntime
    pub fn set_close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = Timeout::Configured(timeout);
        self
    }

    /// Checks the settings against each other.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) names the first setting that cannot work: a write
    /// limit that is not above the write buffer, a limit of 0, a subprotocol that is no token, an
    /// allowed origin that is none, or an empty list of origins where none may be missing.
    pub fn validate(&self) -> Result<()> {
        self.transport.validate()?;
        self.protocols.check()?;
        match &self.allowed_origins {
            Some(origins) => match origins.check() {
                Err(ConfigError::NoOrigins) if self.allow_missing_origin => Ok(()),
                checked => Ok(checked?),
            },
            None => Ok(()),
        }
    }

    /// Checks the settings of a handshake whose subprotocol is chosen by `choice`.
    pub(crate) fn check(&self, choice: &ProtocolChoice) -> Result<()> {
        self.validate()?;
        let chooses_none = matches!(choice, ProtocolChoice::List) && self.protocols.is_empty();
        if self.require_protocol && chooses_none {
            return Err(ConfigError::NoProtocols.into());
        }
        Ok(())
    }

    /// Checks that `runtime` can keep the timeouts that the user set.
    pub(crate) fn check_timeouts(&self, runtime: Option<&Arc<dyn Runtime>>) -> Result<()> {
        let timeouts = [self.head_timeout, self.upgrade_timeout, self.close_timeout];
        timeouts
            .into_iter()
            .try_for_each(|timeout| timeout.check(runtime))?;
        Ok(())
    }

    /// Tells whether a request from `origin` may connect.
    pub(crate) fn allows(&self, origin: &RequestOrigin) -> bool {
        match (&self.allowed_origins, origin) {
            (None, _) => true,
            (Some(_), RequestOrigin::Missing) => self.allow_missing_origin,
            (Some(_), RequestOrigin::Invalid) => false,
            (Some(allowed), RequestOrigin::One(origin)) => allowed.contains(origin),
        }
    }
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self::new()
    }
}
