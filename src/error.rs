//! What can go wrong, who is at fault, and what to do about it.

use std::{fmt, io, iter};

use crate::{
    config::ConfigError,
    handshake::{Refusal, Rejection},
    proto::{InvalidMessage, ProtocolError},
    rt::{NoTimers, TimeoutError},
};

/// The result of operations on WebSockets.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error from below whose type is not ours, such as hyper's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong with a WebSocket or on the way to one.
///
/// The variants are the same in every build, whatever the features.
///
/// `Display` describes the failure, and [`source`](std::error::Error::source) returns its cause, if
/// the cause is an error of another library: `{}` does not print that one, and `{:#}` prints all
/// causes, with colons between them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection is closing or closed: nothing can be sent any more. Stop using the socket.
    #[error("the WebSocket is closed")]
    Closed,
    /// The peer, or the network, ended the byte stream without a Close frame (RFC 6455, section
    /// 7.1.5, code 1006): messages may be missing.
    #[error("the connection ended without a closing handshake")]
    ClosedWithoutHandshake,
    /// A setting of the caller's is invalid: correct it.
    #[error("invalid configuration: {0}")]
    Config(ConfigError),
    /// The caller's message may not be sent; the connection is unharmed.
    #[error("invalid message: {0}")]
    InvalidMessage(InvalidMessage),
    /// The byte stream failed; the connection is gone.
    #[error(fmt = display_io)]
    Io(#[from] io::Error),
    /// There is no runtime, or it has no timers for a timeout that the caller set: turn on
    /// `rt-tokio` or `rt-smol`, or hand over a [`Runtime`](crate::Runtime).
    #[error("no async runtime: enable `rt-tokio` or `rt-smol`, or pass a `Runtime` with timers")]
    NoRuntime,
    /// The peer broke the protocol; it was told so by a Close frame, unless one was sent before.
    #[error("the peer broke the WebSocket protocol: {0}")]
    Protocol(ProtocolError),
    /// The opening handshake was refused; the answer said so to the client.
    #[error("the WebSocket handshake was refused: {0}")]
    Rejected(Rejection),
    /// The peer, the server around us, or an operation under [`rt::timeout`](crate::rt::timeout)
    /// was not done in time.
    #[error("timed out {0}")]
    Timeout(TimeoutPhase),
    /// No handler got the connection. Either the HTTP server did not hand it over after the answer
    /// of 101, for instance because the client went away before. Or the runtime dropped its task,
    /// because it was shut down. The source tells which.
    #[error(fmt = display_upgrade)]
    Upgrade(#[source] BoxError),
}

impl Error {
    /// Tells whether the connection has ended, and neither side has broken a rule: the peer has
    /// closed it, or has gone away without a word.
    ///
    /// A server sees such ends all the time, and a handler that gets one stops without logging it:
    ///
    /// - [`Closed`](Self::Closed), the peer's Close or our own came first;
    /// - [`ClosedWithoutHandshake`](Self::ClosedWithoutHandshake);
    /// - [`Io`](Self::Io) of the kinds that a stream returns whose peer is gone: broken pipe,
    ///   connection reset or aborted, not connected, unexpected end and timed out;
    /// - [`Timeout`](Self::Timeout) of a peer that does not answer our Close.
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
            Self::Closed | Self::ClosedWithoutHandshake | Self::Timeout(TimeoutPhase::Close) => {
                true
            }
            Self::Io(error) => matches!(
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

// These have their detail in their own text. Were it the source too, it would be printed twice.

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
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

fn display_upgrade(source: &BoxError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    display("the connection was not upgraded", &**source, f)
}

/// Writes an error, and its causes if they are asked for by `{:#}`.
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
    /// The HTTP server's handing over of the connection.
    Upgrade,
    /// The peer's part in the closing handshake.
    Close,
    /// An operation that the program has bounded by [`rt::timeout`](crate::rt::timeout).
    Operation,
}

impl fmt::Display for TimeoutPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upgrade => "waiting for the HTTP server to upgrade the connection",
            Self::Close => "waiting for the peer to close",
            Self::Operation => "waiting for an operation that `rt::timeout` bounds",
        })
    }
}
