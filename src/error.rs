//! The error type: what went wrong, who is at fault, and what to do about it.

use std::{fmt, io, iter, net::SocketAddr};

use http::Response;

use crate::{
    config::ConfigError,
    handshake::{HandshakeError, Refusal, Rejection},
    message::Bytes,
    proto::{InvalidMessage, ProtocolError},
    rt::{NoTimers, TimeoutError},
};

/// The result of operations on WebSockets.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of another library, such as hyper's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error of a WebSocket, or of the handshake that leads to one.
///
/// The variants are the same in every build, whatever the features.
///
/// `Display` describes the failure. If the cause is an error of another library,
/// [`source`](std::error::Error::source) returns it: `{}` does not print that cause, and `{:#}`
/// prints all causes, separated by colons.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection is closing or closed: nothing more can be sent. Stop using the socket.
    #[error("the WebSocket is closed")]
    Closed,
    /// The peer or the network ended the byte stream without a Close frame (RFC 6455, section
    /// 7.1.5, code 1006). Messages may be missing.
    #[error("the connection ended without a closing handshake")]
    ClosedWithoutHandshake,
    /// One of the caller's settings is invalid: correct it.
    #[error("invalid configuration: {0}")]
    Config(ConfigError),
    /// A client could not connect to any address of the server. It has each address that was tried,
    /// with its error. The server does not listen there, the network is at fault, or this machine:
    /// for example, too many files are open.
    #[error(fmt = display_connect)]
    Connect(Vec<(SocketAddr, io::Error)>),
    /// The server answered a client's handshake with a 101 that is wrong, or with no HTTP at all:
    /// the server, or a proxy in front of it, is at fault. The connection is closed.
    #[error("the server's answer is not a valid WebSocket handshake: {0}")]
    Handshake(HandshakeError),
    /// The caller's message may not be sent. The connection is unharmed.
    #[error("invalid message: {0}")]
    InvalidMessage(InvalidMessage),
    /// The byte stream failed. The connection is gone.
    #[error(fmt = display_io)]
    Io(#[from] io::Error),
    /// There is no runtime, or it has no timers for a timeout or rate that the caller set, or it
    /// was shut down while a socket with such a setting lived. Enable `rt-tokio` or `rt-smol`, or
    /// pass a [`Runtime`](crate::Runtime).
    #[error(
        "no async runtime with timers: enable `rt-tokio`, and call from inside a tokio runtime \
         built with `enable_all`, or enable `rt-smol`, or pass a `Runtime` (a client: a `Network`)"
    )]
    NoRuntime,
    /// The peer broke the protocol. A Close frame reported that to the peer, unless a Close was
    /// sent before.
    #[error("the peer broke the WebSocket protocol: {0}")]
    Protocol(ProtocolError),
    /// The queue of a [`Sender`](crate::Sender) was full, and its policy,
    /// [`WhenFull::Close`](crate::WhenFull::Close), closed the socket with code 1013: the peer
    /// reads too slowly. [`TrySendError::Full`](crate::TrySendError::Full) converts into it too;
    /// then the socket is unharmed.
    #[error("the queue of the WebSocket is full: the peer reads too slowly")]
    QueueFull,
    /// The peer sent faster than its [`Rate`](crate::Rate) allows, and
    /// [`OverRate::Close`](crate::OverRate::Close) closed the socket with code 1008.
    #[error("the peer sends faster than its rate allows")]
    RateExceeded,
    /// The opening handshake was refused by this end. A client has been answered; what a server
    /// says to a client is [`UnexpectedResponse`](Self::UnexpectedResponse).
    #[error("the WebSocket handshake was refused: {0}")]
    Rejected(Rejection),
    /// The name of a server has no address: the URI is wrong, or the resolver is at fault.
    #[error(fmt = display_resolve)]
    Resolve {
        /// The name.
        host: Box<str>,
        /// What the resolver says.
        source: io::Error,
    },
    /// The peer, the HTTP server, or an operation under [`rt::timeout`](crate::rt::timeout) did not
    /// finish in time.
    #[error("timed out {0}")]
    Timeout(TimeoutPhase),
    /// The TLS handshake with a server failed; the source says why. For a certificate that is not
    /// trusted, the source contains a `rustls::Error` that says which
    /// rule it breaks. Nothing of the WebSocket was sent.
    #[error(fmt = display_tls)]
    Tls(#[source] io::Error),
    /// A server answered a client's handshake with another status than 101. It has the headers, and
    /// up to 16 KiB of the body. anyws does not follow redirects: connect to the `Location` if you
    /// trust it.
    #[error(fmt = display_response)]
    UnexpectedResponse(Box<Response<Bytes>>),
    /// No handler got the connection; the source says why. Either the HTTP server did not hand it
    /// over after the 101 response, for instance because the client left first. Or the runtime was
    /// shut down and dropped the connection's task.
    #[error(fmt = display_upgrade)]
    Upgrade(#[source] BoxError),
}

impl Error {
    /// Returns whether the connection has ended without a broken rule of the protocol on either
    /// side: the peer has closed it, has disappeared, or was too slow or too fast.
    ///
    /// Servers see such ends all the time. A handler that gets one can stop without logging it:
    ///
    /// - [`Closed`](Self::Closed): a Close of the peer or our own came first.
    /// - [`ClosedWithoutHandshake`](Self::ClosedWithoutHandshake).
    /// - [`Io`](Self::Io) and [`Tls`](Self::Tls) of the kinds that a stream returns when its peer
    ///   is gone: broken pipe, connection reset or aborted, not connected, unexpected end and timed
    ///   out.
    /// - [`Timeout`](Self::Timeout) of a peer that does not answer a ping or our Close, does not
    ///   read, or was idle, and of a socket that has reached its maximum lifetime.
    /// - [`QueueFull`](Self::QueueFull): the peer reads too slowly.
    /// - [`RateExceeded`](Self::RateExceeded): the peer sends too fast. Any client can cause it, so
    ///   a line in the log for each would be one more thing to flood.
    ///
    /// ```
    /// use anyws::WebSocket;
    ///
    /// async fn greet(mut socket: WebSocket) {
    ///     match socket.send("hello".into()).await {
    ///         Err(error) if !error.is_disconnect() => eprintln!("{error:#}"),
    ///         _ => {}
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn is_disconnect(&self) -> bool {
        match self {
            Self::Closed | Self::ClosedWithoutHandshake | Self::QueueFull | Self::RateExceeded => {
                true
            }
            Self::Timeout(phase) => !matches!(
                phase,
                TimeoutPhase::Upgrade
                    | TimeoutPhase::Operation
                    | TimeoutPhase::Resolve
                    | TimeoutPhase::Connect
                    | TimeoutPhase::Tls
                    | TimeoutPhase::Handshake
            ),
            Self::Io(error) | Self::Tls(error) => matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::UnexpectedEof
            ),
            _ => false,
        }
    }
}

impl Error {
    /// Returns a copy for somebody else. An error of another library becomes its text.
    pub(crate) fn copy(&self) -> Self {
        match self {
            Self::Closed => Self::Closed,
            Self::ClosedWithoutHandshake => Self::ClosedWithoutHandshake,
            Self::Config(error) => Self::Config(error.clone()),
            Self::Connect(errors) => {
                let copies = errors
                    .iter()
                    .map(|(address, error)| (*address, copy_io(error)));
                Self::Connect(copies.collect())
            }
            Self::Handshake(error) => Self::Handshake(error.clone()),
            Self::InvalidMessage(error) => Self::InvalidMessage(error.clone()),
            Self::Io(error) => Self::Io(copy_io(error)),
            Self::NoRuntime => Self::NoRuntime,
            Self::Protocol(error) => Self::Protocol(error.clone()),
            Self::QueueFull => Self::QueueFull,
            Self::RateExceeded => Self::RateExceeded,
            Self::Rejected(rejection) => Self::Rejected(rejection.clone()),
            Self::Resolve { host, source } => Self::Resolve {
                host: host.clone(),
                source: copy_io(source),
            },
            Self::Timeout(phase) => Self::Timeout(*phase),
            Self::Tls(error) => Self::Tls(copy_io(error)),
            Self::UnexpectedResponse(response) => Self::UnexpectedResponse(response.clone()),
            Self::Upgrade(error) => Self::Upgrade(error.to_string().into()),
        }
    }
}

fn copy_io(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

// These errors include their details in their own text. As a source they would be printed twice.

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<HandshakeError> for Error {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl From<InvalidMessage> for Error {
    fn from(error: InvalidMessage) -> Self {
        Self::InvalidMessage(error)
    }
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Client(rejection) => rejection.into(),
            Refusal::Server(error) => error.into(),
        }
    }
}

impl From<NoTimers> for Error {
    fn from(_: NoTimers) -> Self {
        Self::NoRuntime
    }
}

impl From<TimeoutError> for Error {
    fn from(error: TimeoutError) -> Self {
        match error {
            TimeoutError::Elapsed => Self::Timeout(TimeoutPhase::Operation),
            TimeoutError::NoTimers => Self::NoRuntime,
        }
    }
}

fn display_io(source: &io::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    display("the connection failed", source, f)
}

fn display_response(response: &Response<Bytes>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let status = response.status();
    write!(f, "the server answered {status} and opened no WebSocket")?;
    if status.is_redirection() {
        f.write_str(": anyws follows no redirect, see the header `Location`")?;
    }
    Ok(())
}

fn display_resolve(host: &str, source: &io::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    display(
        &format!("the server's name {host:?} has no address"),
        source,
        f,
    )
}

fn display_tls(source: &io::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    display("the TLS handshake with the server failed", source, f)
}

/// How many addresses an error shows. Names have one or two, and some have a thousand.
const MAX_SHOWN: usize = 8;

/// Writes the addresses with their errors: none of them is more the cause than the others.
fn display_connect(errors: &[(SocketAddr, io::Error)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("no address of the server accepts a connection")?;
    for (index, (address, error)) in errors.iter().take(MAX_SHOWN).enumerate() {
        let separator = if index == 0 { ':' } else { ',' };
        write!(f, "{separator} {address}: {error}")?;
    }
    match errors.len().saturating_sub(MAX_SHOWN) {
        0 => Ok(()),
        more => write!(f, ", and {more} more"),
    }
}

fn display_upgrade(source: &BoxError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    display("the connection was not upgraded", &**source, f)
}

/// Writes an error, and also its causes if the format is `{:#}`.
fn display(
    text: &str,
    source: &(dyn std::error::Error + 'static),
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_str(text)?;
    if f.alternate() {
        for cause in iter::successors(Some(source), |error| error.source()) {
            write!(f, ": {cause}")?;
        }
    }
    Ok(())
}

/// What an [`Error::Timeout`] was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeoutPhase {
    /// The HTTP server, to hand over the connection.
    Upgrade,
    /// The peer, to complete the closing handshake.
    Close,
    /// The resolver, to find the addresses of a server; see `ClientBuilder::connect_timeout`.
    Resolve,
    /// A server, to accept a TCP connection; see `ClientBuilder::connect_timeout`.
    Connect,
    /// A server, to complete the TLS handshake; see `ClientBuilder::connect_timeout`.
    Tls,
    /// The server, to answer a client's handshake; see `ClientBuilder::handshake_timeout`.
    Handshake,
    /// An operation that the program limits with [`rt::timeout`](crate::rt::timeout).
    Operation,
    /// The peer, to answer a ping; see
    /// [`set_keepalive`](crate::WebSocketConfig::set_keepalive).
    Pong,
    /// The peer, to accept bytes; see
    /// [`set_write_timeout`](crate::WebSocketConfig::set_write_timeout).
    Write,
    /// A message in either direction; see
    /// [`set_idle_timeout`](crate::WebSocketConfig::set_idle_timeout).
    Idle,
    /// The end of the connection; see
    /// [`set_max_lifetime`](crate::WebSocketConfig::set_max_lifetime).
    Lifetime,
    /// The sockets of a server that shuts down, to close; see
    /// [`Tracker::drain`](crate::Tracker::drain).
    Drain,
}

impl fmt::Display for TimeoutPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upgrade => "waiting for the HTTP server to upgrade the connection",
            Self::Close => "waiting for the peer to close",
            Self::Resolve => "waiting for the addresses of the server",
            Self::Connect => "waiting for the server to accept a TCP connection",
            Self::Tls => "waiting for the server to complete the TLS handshake",
            Self::Handshake => "waiting for the server to answer the WebSocket handshake",
            Self::Operation => "waiting for an operation that `rt::timeout` bounds",
            Self::Pong => "waiting for the peer to answer a ping",
            Self::Write => "waiting for the peer to read",
            Self::Idle => "waiting for a message",
            Self::Lifetime => "because the connection has reached its maximum lifetime",
            Self::Drain => "because the server has shut down",
        })
    }
}
