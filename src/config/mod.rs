//! Settings of a socket and of the handshake that leads to it.

use std::{borrow::Cow, sync::Arc, time::Duration};

pub use self::{error::ConfigError, transport::TransportConfig};
use crate::{
    error::Result,
    handshake::{AllowedOrigins, Policy, ProtocolChoice, Supported},
    rt::{self, Runtime, Timeout},
};

mod error;
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
}

impl WebSocketConfig {
    /// Returns the default settings: those of [`TransportConfig::default`], no subprotocol, every
    /// origin allowed, and 10 s for each timeout.
    pub fn new() -> Self {
        Self {
            transport: TransportConfig::default(),
            policy: Policy::default(),
            runtime: None,
            head_timeout: DEFAULT_TIMEOUT,
            upgrade_timeout: DEFAULT_TIMEOUT,
            close_timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Sets buffers and limits, from a [`TransportConfig`] or from tungstenite's `WebSocketConfig`.
    pub fn set_transport(mut self, transport: impl Into<TransportConfig>) -> Self {
        self.transport = transport.into();
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

    /// Checks the settings against each other.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) with the first setting that cannot work: a write
    /// limit that is not above the write buffer, a limit of 0, fragments of less than 1 KiB, a
    /// subprotocol that is not a token, a malformed origin, or an empty list of origins while a
    /// missing one is not allowed.
    pub fn validate(&self) -> Result<()> {
        self.transport.validate()?;
        Ok(self.policy.validate()?)
    }

    /// Checks the settings of a handshake that chooses its subprotocol by `choice`.
    pub(crate) fn check(&self, choice: &ProtocolChoice) -> Result<()> {
        self.validate()?;
        Ok(self.policy.check_choice(choice)?)
    }

    /// Checks that `runtime` has timers for the timeouts that the user set.
    pub(crate) fn check_timeouts(&self, runtime: Option<&Arc<dyn Runtime>>) -> Result<()> {
        let timeouts = [self.head_timeout, self.upgrade_timeout, self.close_timeout];
        timeouts
            .into_iter()
            .try_for_each(|timeout| timeout.check(runtime))?;
        Ok(())
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
