//! Settings of a socket and of the handshake that leads to it.

use std::{borrow::Cow, sync::Arc, time::Duration};

pub(crate) use self::{
    deflate::{Compression, MAX_WINDOW, MIN_WINDOW},
    life::{Keepalive, LifeConfig},
    rate::RateLimit,
};
pub use self::{
    deflate::{DeflateConfig, Takeover},
    error::{ConfigError, InvalidUri},
    queue::{QueueConfig, WhenFull},
    rate::{OverRate, Rate},
    transport::TransportConfig,
};
use crate::{
    error::Result,
    handshake::{AllowedOrigins, Policy, ProtocolChoice, Supported},
    proto,
    rt::{self, Runtime, Timeout},
    tracker::Tracker,
};

mod deflate;
mod error;
mod life;
mod queue;
mod rate;
mod transport;

/// Long enough for any working network, and short enough to free what a dead peer holds.
const DEFAULT_TIMEOUT: Timeout = Timeout::Default(Duration::from_secs(10));

/// Settings of the handshake, of the socket that follows, and of the runtime that both use.
///
/// The setters chain. [`validate`](Self::validate) returns an error for settings that cannot work.
/// If you do not call it, the upgrade answers 500 and calls `on_failed_upgrade`; it never panics.
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
    pub(crate) policy: Policy,
    pub(crate) runtime: Option<Arc<dyn Runtime>>,
    pub(crate) head_timeout: Timeout,
    pub(crate) upgrade_timeout: Timeout,
    pub(crate) close_timeout: Timeout,
    pub(crate) tracker: Option<Tracker>,
    pub(crate) deflate: Option<DeflateConfig>,
    /// `None` if none of these is set: most sockets have none, and futures hold the settings.
    pub(crate) life: Option<Arc<LifeConfig>>,
}

impl WebSocketConfig {
    /// Returns the default settings: those of [`TransportConfig::default`], no subprotocol, every
    /// origin allowed, 10 s each for the head, the upgrade and the close, and no other timeout.
    pub fn new() -> Self {
        Self {
            transport: TransportConfig::default(),
            policy: Policy::default(),
            runtime: None,
            head_timeout: DEFAULT_TIMEOUT,
            upgrade_timeout: DEFAULT_TIMEOUT,
            close_timeout: DEFAULT_TIMEOUT,
            tracker: None,
            deflate: None,
            life: None,
        }
    }

    /// Sets buffers and limits, from a [`TransportConfig`] or from tungstenite's `WebSocketConfig`.
    pub fn set_transport(mut self, transport: impl Into<TransportConfig>) -> Self {
        self.transport = transport.into();
        self
    }

    /// Sets the compression of messages (RFC 7692), or turns it off with `None`; default off.
    ///
    /// It needs the feature `deflate`: without it, [`validate`](Self::validate) returns
    /// [`ConfigError::DeflateNotCompiled`](crate::ConfigError::DeflateNotCompiled), and a handshake
    /// fails. The peer has to agree, too: [`is_compressed`](crate::WebSocket::is_compressed) says
    /// whether it did. The limit [`max_message_size`](TransportConfig::max_message_size) applies to
    /// the plaintext.
    pub fn set_deflate(mut self, deflate: impl Into<Option<DeflateConfig>>) -> Self {
        self.deflate = deflate.into();
        self
    }

    /// Sets the supported subprotocols, the preferred one first; default none.
    ///
    /// The server chooses the first name of this list that the client offers (RFC 6455, section
    /// 4.2.2). Names are case-sensitive tokens.
    ///
    /// If the client offers no supported subprotocol, it is accepted without one, which is legal
    /// (section 4.2.2). Chromium, Node's undici and websocket-client then fail the connection
    /// themselves, so list every name that your clients offer.
    pub fn set_protocols<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        self.policy.protocols = Supported::new(protocols.into_iter().map(Into::into));
        self
    }

    /// Sets whether a client that offers no supported subprotocol is refused with 400; default
    /// `false`: it is accepted without one.
    ///
    /// If no subprotocol is supported and no callback chooses one, no client could connect: the
    /// upgrade fails with [`ConfigError::NoProtocols`].
    pub fn set_require_protocol(mut self, require: bool) -> Self {
        self.policy.require_protocol = require;
        self
    }

    /// Sets the origins that may connect; default all. Others are refused with 403.
    ///
    /// Browsers send cookies to any server, along with the page's origin. A server that trusts
    /// cookies therefore has to set this (RFC 6455, section 10.2). Programs other than browsers can
    /// send any `Origin` they like. Each entry has one of these forms:
    ///
    /// - `scheme://host` or `scheme://host:port`: scheme, host and port have to match exactly. The
    ///   default port of a scheme may be left out.
    /// - `scheme://*.domain`, with a port or without: any host with one or more labels before
    ///   `domain`, but not `domain` itself. Scheme and port have to match exactly.
    /// - `null`: pages whose origin is private, for example in a sandboxed frame or a file. Every
    ///   site can make such a page, so do not allow it if cookies identify the user.
    /// - `file://`: pages loaded from files, in the browsers that send it, such as some of
    ///   Cordova's.
    ///
    /// A request with two `Origin` lines is always refused. One without `Origin` is refused unless
    /// [`set_allow_missing_origin`](Self::set_allow_missing_origin) allows it. The list is parsed
    /// once, by this call, and not for each request.
    pub fn set_allowed_origins<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        let origins = origins.into_iter().map(Into::into);
        self.policy.allowed_origins = Some(AllowedOrigins::parse(origins));
        self
    }

    /// Sets whether requests without `Origin` may connect if
    /// [`set_allowed_origins`](Self::set_allowed_origins) restricts origins; default `false`.
    ///
    /// Browsers always send `Origin` with a handshake; native apps and other programs often do not.
    pub fn set_allow_missing_origin(mut self, allow: bool) -> Self {
        self.policy.allow_missing_origin = allow;
        self
    }

    /// Sets the runtime that spawns and sleeps for these sockets; default the runtime in the
    /// request's extensions, else [`rt::detect`](crate::rt::detect).
    pub fn set_runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Sets how long the head of a request may take to arrive; default 10 s, enough for any working
    /// network.
    ///
    /// It applies where [`accept`](crate::accept) or
    /// [`ServerHandshake::read`](crate::ServerHandshake::read) reads the head. Without a runtime
    /// the default is off, and setting this timeout is [`Error::NoRuntime`].
    ///
    /// [`Error::NoRuntime`]: crate::Error::NoRuntime
    pub fn set_head_timeout(mut self, timeout: Duration) -> Self {
        self.head_timeout = Timeout::Configured(timeout);
        self
    }

    /// Sets how long the HTTP server may take to send the 101 response and hand over the
    /// connection; default 10 s; a working server needs far less.
    ///
    /// The time runs from [`on_upgrade`](crate::WebSocketUpgrade::on_upgrade) or
    /// [`accept`](crate::WebSocketUpgrade::accept). On a bare stream it limits how long writing the
    /// answer may take. Without a runtime the default is off, and setting this timeout is
    /// [`Error::NoRuntime`].
    ///
    /// [`Error::NoRuntime`]: crate::Error::NoRuntime
    pub fn set_upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.upgrade_timeout = Timeout::Configured(timeout);
        self
    }

    /// Sets how long the closing handshake and the end of the TCP connection may take; default 10
    /// s. After that, a dead peer holds no resources.
    ///
    /// Without a runtime nothing waits for the peer's Close, and setting this timeout is
    /// [`Error::NoRuntime`].
    ///
    /// [`Error::NoRuntime`]: crate::Error::NoRuntime
    pub fn set_close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = Timeout::Configured(timeout);
        self
    }

    /// Pings a peer that has sent nothing for `interval`, and gives it up if it sends nothing for
    /// `timeout` after the ping; default off. A `timeout` of `None` only pings, to keep proxies
    /// from closing the connection.
    ///
    /// Common values are 20 s for both. [`WebSocket::next`](crate::WebSocket::next) and
    /// [`closed`](crate::WebSocket::closed) send the pings (RFC 6455, section 5.5.2). The answer to
    /// the last ping is not returned as a message; one that comes only after the next ping is. Any
    /// byte of the peer counts as a sign of life, and so does each write that it accepts while the
    /// ping waits behind other data. A ping may also wait behind some megabytes in the kernel's
    /// buffer: allow for the time that your slowest peer needs for them.
    ///
    /// A peer that is given up gets a Close with code 1011, and `next` returns [`Error::Timeout`]
    /// with [`TimeoutPhase::Pong`](crate::TimeoutPhase::Pong), then `None`. A socket first reads
    /// what has arrived and judges then, so a handler that was busy for a minute does not lose a
    /// live peer. While the handler does not wait in `next` or `closed`, no pings are sent. After a
    /// Close of this end, no pings are sent either, but silence counts as before.
    ///
    /// The first ping comes after a random part, from a half to the whole, of `interval`, so that
    /// thousands of clients that connect at once are not pinged at once.
    ///
    /// The clock of these timeouts is coarse: each passes late by up to two ticks. A tick is an
    /// eighth of the shortest of a socket's timeouts, at least 50 ms and at most 1 s. A timeout of
    /// more than 99 days never passes. Without a runtime that has timers, setting one is
    /// [`Error::NoRuntime`].
    ///
    /// [`Error::Timeout`]: crate::Error::Timeout
    /// [`Error::NoRuntime`]: crate::Error::NoRuntime
    pub fn set_keepalive(
        mut self,
        interval: Duration,
        timeout: impl Into<Option<Duration>>,
    ) -> Self {
        self.keepalive(interval, timeout.into());
        self
    }

    pub(crate) fn keepalive(&mut self, interval: Duration, timeout: Option<Duration>) {
        self.life().keepalive = Some(Keepalive { interval, timeout });
    }

    /// Closes a socket on which no data message was sent or received for `timeout`; default off.
    ///
    /// Pings and pongs do not count, but fragments and parts of long messages do. The peer gets a
    /// Close with code 1001, and [`next`](crate::WebSocket::next) returns
    /// [`Error::Timeout`](crate::Error::Timeout) with
    /// [`TimeoutPhase::Idle`](crate::TimeoutPhase::Idle), then `None`. It is noticed while the
    /// handler waits in `next` or [`closed`](crate::WebSocket::closed), after what has arrived was
    /// read; the time for which the handler was away counts. For the clock, see
    /// [`set_keepalive`](Self::set_keepalive).
    pub fn set_idle_timeout(mut self, timeout: Duration) -> Self {
        self.life().idle_timeout = Some(timeout);
        self
    }

    /// Closes a socket that has been open for `lifetime`, and up to a tenth longer; default off.
    ///
    /// The additional time is random, so that sockets that were opened together do not all
    /// reconnect together. The peer gets a Close with code 1001, and the waiting operation, or the
    /// next `next`, `send` or `feed`, returns [`Error::Timeout`](crate::Error::Timeout) with
    /// [`TimeoutPhase::Lifetime`](crate::TimeoutPhase::Lifetime).
    ///
    /// A handler of [`on_upgrade`](crate::WebSocketUpgrade::on_upgrade) that still holds its socket
    /// has twice the close timeout more, whether it has got that error or not. Then its future is
    /// dropped, and with it the socket, which closes with code 1001; nobody is told. A handler goes
    /// on if it has dropped its socket, or if `next` had returned `None` before the lifetime was
    /// over. On a bare stream the task is yours, and is not dropped. For the clock, see
    /// [`set_keepalive`](Self::set_keepalive).
    pub fn set_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.life().max_lifetime = Some(lifetime);
        self
    }

    /// Fails a write if the peer accepts no byte of it for `timeout`; default off.
    ///
    /// It limits how long a peer may be stuck, not how long a message may take: bytes that the peer
    /// accepts start the time again. The kernel accepts more only when a good part of its buffer is
    /// free, and that may be some megabytes: allow for the time that your slowest peer needs for
    /// them. The waiting `send`, `feed` or `flush`, or the waiting
    /// [`next`](crate::WebSocket::next), returns [`Error::Timeout`](crate::Error::Timeout) with
    /// [`TimeoutPhase::Write`](crate::TimeoutPhase::Write), and the connection ends without a
    /// Close, because none would get through. A stream that has a buffer of its own, such as TLS,
    /// does not show while it is flushed that the peer reads: allow for that buffer too. For the
    /// clock, see [`set_keepalive`](Self::set_keepalive).
    pub fn set_write_timeout(mut self, timeout: Duration) -> Self {
        self.life().write_timeout = Some(timeout);
        self
    }

    /// Limits how many messages a peer may send; default off.
    ///
    /// Pings, pongs and a Close count as messages too, but the answers to keepalive's own pings do
    /// not. A message in many fragments counts once, so set [`set_byte_rate`](Self::set_byte_rate)
    /// as well.
    ///
    /// With [`OverRate::Pause`], the handler gets as many messages as the rate allows, and the
    /// others later, in their order. TCP slows the peer down: unread bytes stay in its memory, in
    /// the kernel, and in the socket up to one
    /// [`read_buffer_size`](TransportConfig::read_buffer_size). The peer's pongs and its Close wait
    /// too, and a peer that leaves is noticed later. Everything else goes on: sending, senders,
    /// pings, and timeouts. But a pause does not count as silence for
    /// [`set_keepalive`](Self::set_keepalive), nor for
    /// [`set_idle_timeout`](Self::set_idle_timeout).
    ///
    /// With [`OverRate::Close`], the peer gets a Close with code 1008. The handler gets the
    /// messages up to the one that is too many; then [`next`](crate::WebSocket::next) returns
    /// [`Error::RateExceeded`], then `None`. [`closed`](crate::WebSocket::closed) returns that
    /// error too, and so does a `send` that reads because the receiving half was dropped. A message
    /// counts when it is read, so choose a burst that covers what a peer may send while the
    /// handler, or its thread, is busy.
    ///
    /// The clock that measures rates is that of [`set_keepalive`](Self::set_keepalive). For a
    /// socket with rates it ticks at least every 100 ms. Besides the burst, a peer may send at once
    /// what its rate allows in a tick. Without a runtime that has timers, setting a rate is
    /// [`Error::NoRuntime`]. Once the handler closes the socket, the close timeout takes the place
    /// of the rates.
    ///
    /// [`Error::RateExceeded`]: crate::Error::RateExceeded
    /// [`Error::NoRuntime`]: crate::Error::NoRuntime
    pub fn set_message_rate(mut self, rate: Rate, over: OverRate) -> Self {
        self.life().message_rate = Some(RateLimit { rate, over });
        self
    }

    /// Limits how many bytes a peer may send; default off.
    ///
    /// All bytes that are read from the stream after the handshake count: headers, payloads and
    /// control frames. With [`OverRate::Pause`], no more is read than the rate allows; messages
    /// that have arrived whole are returned at once. A message that is larger than the burst
    /// arrives in parts, and takes as long as its bytes need at this rate. A pause ends once 1 KiB
    /// may be read, or the burst if that is less.
    ///
    /// With [`OverRate::Close`], a message that is larger than the burst may close the socket, so
    /// choose a burst above [`max_message_size`](TransportConfig::max_message_size). Everything
    /// else is as for [`set_message_rate`](Self::set_message_rate).
    pub fn set_byte_rate(mut self, rate: Rate, over: OverRate) -> Self {
        self.life().byte_rate = Some(RateLimit { rate, over });
        self
    }

    /// Sets the bounds of the queue that the senders of a socket share, for
    /// [`WebSocket::sender`](crate::WebSocket::sender); default 256 messages, 1 MiB and
    /// [`WhenFull::Wait`].
    pub fn set_queue(mut self, queue: QueueConfig) -> Self {
        self.life().queue = queue;
        self
    }

    /// Sets the tracker that counts these sockets, may refuse them, and ends them when the server
    /// shuts down; default none.
    ///
    /// A tracker in the request's extensions is asked instead of this one, and so is the tracker of
    /// a permit that the handshake was given. If this one refuses, the error is
    /// [`Error::Rejected`](crate::Error::Rejected): `on_failed_upgrade` gets it, or
    /// [`accept`](crate::accept) returns it.
    pub fn set_tracker(mut self, tracker: Tracker) -> Self {
        self.tracker = Some(tracker);
        self
    }

    fn life(&mut self) -> &mut LifeConfig {
        Arc::make_mut(self.life.get_or_insert_default())
    }

    /// Checks the settings against each other.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) with the first setting that cannot work: a write
    /// limit that is not above the write buffer, a limit, timeout or rate of 0, fragments of less
    /// than 1 KiB, compression without the feature `deflate` or with a window or level out of
    /// range, a subprotocol that is not a token, a malformed origin, or an empty list of
    /// origins while a missing one is not allowed.
    pub fn validate(&self) -> Result<()> {
        self.transport.validate()?;
        if let Some(deflate) = &self.deflate {
            if !proto::CAN_COMPRESS {
                return Err(ConfigError::DeflateNotCompiled.into());
            }
            deflate.validate()?;
        }
        if let Some(life) = &self.life {
            life.validate()?;
        }
        Ok(self.policy.validate()?)
    }

    /// Checks the settings of a handshake that chooses its subprotocol by `choice`.
    pub(crate) fn check(&self, choice: &ProtocolChoice) -> Result<()> {
        self.validate()?;
        Ok(self.policy.check_choice(choice)?)
    }

    /// Returns the compression that a handshake may agree to: none with settings that cannot work,
    /// which the clients of tests may have.
    pub(crate) fn usable_deflate(&self) -> Option<&DeflateConfig> {
        let deflate = self.deflate.as_ref()?;
        (proto::CAN_COMPRESS && deflate.validate().is_ok()).then_some(deflate)
    }

    /// Checks that `runtime` has timers for the timeouts and rates that the user set.
    pub(crate) fn check_timeouts(&self, runtime: Option<&Arc<dyn Runtime>>) -> Result<()> {
        let timeouts = [self.head_timeout, self.upgrade_timeout, self.close_timeout];
        timeouts
            .into_iter()
            .try_for_each(|timeout| timeout.check(runtime))?;
        match self.life.as_ref().and_then(|life| life.shortest()) {
            Some(shortest) => Ok(Timeout::Configured(shortest).check(runtime)?),
            None => Ok(()),
        }
    }

    /// Finds the runtime of a connection: the one of these settings, else `other`, else the one
    /// that the calling code runs on.
    pub(crate) fn find_runtime(
        &self,
        other: Option<&Arc<dyn Runtime>>,
    ) -> Option<Arc<dyn Runtime>> {
        let given = self.runtime.as_ref().or(other);
        given.cloned().or_else(rt::detect)
    }
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self::new()
    }
}
