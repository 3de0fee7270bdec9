//! The settings of a client.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    mem,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{Either, select};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use super::{
    plan::{Opened, Plan},
    tls::Tls,
};
use crate::{
    config::{ConfigError, WebSocketConfig},
    error::{Error, Result},
    handshake::{Rejection, Supported},
    io::{Io, boxed},
    rt::{Network, Runtime, Timeout, detect_network},
    socket::WebSocket,
    tracker::Tracker,
};

/// Long enough for any working network, also with a resolver that retries.
const DEFAULT_TIMEOUT: Timeout = Timeout::Default(Duration::from_secs(10));

/// Opens WebSockets to a server: its URI, and settings for the request and the socket.
///
/// ```no_run
/// # async fn open(token: &str) -> anyws::Result<()> {
/// use anyws::{ClientBuilder, http::header::AUTHORIZATION};
///
/// let (mut socket, response) = ClientBuilder::new("wss://chat.example/room")
///     .header(AUTHORIZATION, format!("Bearer {token}"))
///     .protocols(["chat.v2", "chat.v1"])
///     .require_protocol(true)
///     .connect()
///     .await?;
/// println!("the server chose {:?}", socket.protocol());
/// # drop((socket, response));
/// # Ok(())
/// # }
/// ```
///
/// A builder can be cloned, and used again after a connection was lost. The
/// [guide](crate::guide::clients) shows how to reconnect.
///
/// # What is checked
///
/// The answer of the server is checked as strictly as RFC 6455, section 4.1, demands: its status,
/// `Upgrade`, `Connection` and `Sec-WebSocket-Accept`, that it chose a subprotocol and extensions
/// only among those that were offered, and that it announces no body. Redirects are not followed: a
/// redirect could lead a token or a cookie to another server.
#[derive(Clone)]
#[must_use = "a builder does nothing until `connect`"]
pub struct ClientBuilder {
    pub(super) uri: String,
    /// The error is the first header that is not valid.
    pub(super) headers: Result<HeaderMap, ConfigError>,
    /// `None`: those of the config.
    protocols: Option<Supported>,
    /// `None`: as the config says.
    require_protocol: Option<bool>,
    pub(super) origin: Option<String>,
    config: WebSocketConfig,
    pub(super) connect_timeout: Timeout,
    pub(super) handshake_timeout: Timeout,
    network: Option<Arc<dyn Network>>,
    pub(super) tls: Tls,
}

impl ClientBuilder {
    /// Starts with the URI of a server, `ws://HOST[:PORT][/PATH][?QUERY]`, or `wss://` for TLS
    /// (RFC 6455, section 3).
    ///
    /// The default ports are 80 and 443. The URI is checked when the client connects. It may have
    /// no user information and no fragment. A host with other letters than ASCII has to be written
    /// in punycode.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            headers: Ok(HeaderMap::new()),
            protocols: None,
            require_protocol: None,
            origin: None,
            config: WebSocketConfig::new(),
            connect_timeout: DEFAULT_TIMEOUT,
            handshake_timeout: DEFAULT_TIMEOUT,
            network: None,
            tls: Tls::default(),
        }
    }

    /// Adds a header to the request, such as `Authorization` or `Cookie`.
    ///
    /// The headers of the handshake are not allowed: `Host`, which is that of the URI,
    /// `Connection`, `Upgrade`, all `Sec-WebSocket-` headers, and `Origin`, which
    /// [`origin`](Self::origin) sets; nor are those that announce a body. A header that is added
    /// twice is sent twice. An invalid name or value is an error of `connect`; so no line break can
    /// smuggle in a header.
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Self {
        if let Ok(headers) = &mut self.headers
            && let Err(error) = add(headers, name, value)
        {
            self.headers = Err(error);
        }
        self
    }

    /// Sets the subprotocols that are offered, the preferred one first; default those of
    /// [`config`](Self::config).
    ///
    /// They are unique, case-sensitive tokens. [`WebSocket::protocol`] is the one that the server
    /// chose. It may choose none, unless [`require_protocol`](Self::require_protocol) is set; one
    /// that was not offered is [`HandshakeError::Protocol`](crate::HandshakeError::Protocol).
    pub fn protocols<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        self.protocols = Some(Supported::new(protocols.into_iter().map(Into::into)));
        self
    }

    /// Sets whether a server that chooses no subprotocol is refused, with
    /// [`HandshakeError::NoProtocol`](crate::HandshakeError::NoProtocol); default that of
    /// [`config`](Self::config), which is `false` unless it was set.
    pub fn require_protocol(mut self, require: bool) -> Self {
        self.require_protocol = Some(require);
        self
    }

    /// Sets the `Origin` of the request, `scheme://host[:port]`, `null` or `file://`; default none.
    ///
    /// Only browsers have to send one (RFC 6455, section 4.1, item 8). A server that allows only
    /// some origins may refuse clients without it.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Sets the settings of the socket: limits and buffers, compression, keepalive, timeouts, rates
    /// and the tracker; default [`WebSocketConfig::new`].
    ///
    /// Its subprotocols are offered, unless [`protocols`](Self::protocols) sets others. What only a
    /// server needs has to be valid, but is not used: allowed origins, and the timeouts of the head
    /// and of the upgrade. A tracker counts the socket from the beginning of `connect`, and may
    /// refuse it with [`Error::Rejected`], also because it drains.
    ///
    /// The runtime of the settings drives the socket; default the network, else
    /// [`rt::detect`](crate::rt::detect).
    pub fn config(mut self, config: WebSocketConfig) -> Self {
        self.config = config;
        self
    }

    /// Sets how long it may take to resolve the name, to open the TCP connection and to do the TLS
    /// handshake, all together; default 10 s, not 0.
    ///
    /// Without timers the default is off, and setting this timeout is [`Error::NoRuntime`].
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Timeout::Configured(timeout);
        self
    }

    /// Sets how long the opening handshake may take, from the first byte of the request to the end
    /// of the answer; default 10 s, not 0.
    ///
    /// Without timers the default is off, and setting this timeout is [`Error::NoRuntime`].
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = Timeout::Configured(timeout);
        self
    }

    /// Sets the network that connects; default [`rt::detect_network`](crate::rt::detect_network).
    pub fn network(mut self, network: Arc<dyn Network>) -> Self {
        self.network = Some(network);
        self
    }

    /// Connects to the server: resolves its name, opens a TCP connection, does the TLS handshake
    /// for `wss`, and then the opening handshake (RFC 6455, section 4.1).
    ///
    /// The addresses of a name are tried in turns of IPv6 and IPv4, a new one every 250 ms and at
    /// once after a failure, until one accepts (RFC 8305). A network without timers tries one after
    /// the other.
    ///
    /// Returns the socket, and the answer of the server with its headers.
    ///
    /// # Errors
    ///
    /// Before anything is sent: [`Error::Config`] for the URI or a setting, [`Error::NoRuntime`]
    /// without a network, or without timers for a timeout that was set, and [`Error::Rejected`] by
    /// the tracker.
    ///
    /// While connecting: [`Error::Resolve`], [`Error::Connect`], [`Error::Tls`], or
    /// [`Error::Timeout`] with the [`TimeoutPhase`] of the same name.
    ///
    /// In the handshake: [`Error::UnexpectedResponse`] for another answer than 101,
    /// [`Error::Handshake`] for a 101 that is wrong or no HTTP at all, [`Error::Io`] if the
    /// connection fails, or [`Error::Timeout`] with [`TimeoutPhase::Handshake`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection: nothing is left half open.
    ///
    /// [`TimeoutPhase`]: crate::TimeoutPhase
    /// [`TimeoutPhase::Handshake`]: crate::TimeoutPhase::Handshake
    pub fn connect(self) -> impl Future<Output = Result<(WebSocket, Response<()>)>> + Send + Unpin {
        // Boxed, so that the memory of the handshake is freed with it.
        Box::pin(async {
            let network = self.network.clone().or_else(detect_network);
            let network = network.ok_or(Error::NoRuntime)?;
            let runtime = Arc::clone(&network) as Arc<dyn Runtime>;
            let plan = self.plan(Some(&runtime))?;
            let tracker = plan.tracker();
            unless_drained(tracker, pin!(plan.connect(&network))).await
        })
    }

    /// Does the handshake over a stream of yours: a Unix socket, an SSH channel, a proxied
    /// connection, or one of a test.
    ///
    /// The stream is connected already. The URI says what `Host` and the path are; for `wss`, the
    /// TLS handshake is done over the stream first. Pass a stream of tokio in an `io::TokioIo`.
    ///
    /// ```no_run
    /// # #[cfg(all(unix, feature = "rt-smol"))]
    /// # async fn open() -> anyws::Result<()> {
    /// use anyws::ClientBuilder;
    /// use smol::net::unix::UnixStream;
    ///
    /// let stream = UnixStream::connect("/run/chat.socket").await?;
    /// let (socket, _) = ClientBuilder::new("ws://localhost/chat").connect_over(stream).await?;
    /// # drop(socket);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect), but nothing is resolved or connected, and no network is
    /// needed. Without a runtime the default timeouts are off.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub fn connect_over(
        self,
        io: impl Io + 'static,
    ) -> impl Future<Output = Result<(WebSocket, Response<()>)>> + Send + Unpin {
        let stream = boxed(io);
        Box::pin(async {
            let runtime = self
                .network
                .clone()
                .map(|network| network as Arc<dyn Runtime>);
            let plan = self.plan(runtime.as_ref())?;
            let tracker = plan.tracker();
            unless_drained(tracker, pin!(plan.connect_over(stream))).await
        })
    }

    /// Checks the settings.
    fn plan(mut self, network: Option<&Arc<dyn Runtime>>) -> Result<Box<Plan>> {
        let policy = &mut self.config.policy;
        if let Some(protocols) = self.protocols.take() {
            policy.protocols = protocols;
        }
        if let Some(require) = self.require_protocol {
            policy.require_protocol = require;
        }
        let config = mem::take(&mut self.config);
        let runtime = config.find_runtime(network);
        Plan::new(self, config, runtime)
    }
}

/// Drives `connecting` until the tracker drains: nobody waits for a socket that would close at
/// once.
async fn unless_drained(
    tracker: Option<Tracker>,
    connecting: Pin<&mut impl Future<Output = Result<Opened>>>,
) -> Result<Opened> {
    let Some(tracker) = tracker else {
        return connecting.await;
    };
    match select(connecting, pin!(tracker.draining())).await {
        Either::Left((opened, _)) => opened,
        Either::Right(_) => Err(Rejection::Draining.into()),
    }
}

fn add(
    headers: &mut HeaderMap,
    name: impl TryInto<HeaderName>,
    value: impl TryInto<HeaderValue>,
) -> Result<(), ConfigError> {
    let name = name.try_into().map_err(|_| ConfigError::HeaderName)?;
    match value.try_into() {
        Ok(value) => {
            let added = headers.try_append(name, value);
            added.map_err(|_| ConfigError::TooManyHeaders).map(drop)
        }
        Err(_) => Err(ConfigError::HeaderValue(name)),
    }
}

/// Shows neither the URI nor the headers: they carry tokens and cookies.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("config", &self.config)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}
