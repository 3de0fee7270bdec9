//! What can be wrong with a server's answer to a client.

use std::fmt;

use http::Version;

use super::HeadError;

/// Why the answer of a server opens no socket; the server is at fault, or a proxy in front of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The server closed the connection before its answer was complete.
    #[error("the connection ended before the answer was complete")]
    Ended,
    /// The head of the answer could not be read: perhaps the server does not speak HTTP on that
    /// port, or it speaks HTTP over TLS.
    #[error(fmt = display_head)]
    Head(HeadError),
    /// More than 8 interim responses, such as 103, came before the answer (RFC 9110, section 15.2).
    #[error("more than 8 interim responses came before it")]
    TooManyInterim,
    /// The answer is not HTTP/1.1 (RFC 9110, section 7.8).
    #[error("it is {0:?}, not HTTP/1.1")]
    Version(Version),
    /// The answer announces a body, which a 101 never has (RFC 9110, section 15.2).
    #[error("it announces a body, and a 101 has none")]
    Body,
    /// `Upgrade` is not exactly `websocket` (RFC 6455, section 4.1).
    #[error("its header `Upgrade` is not `websocket`")]
    Upgrade,
    /// `Connection` lacks the token `Upgrade` (RFC 6455, section 4.1).
    #[error("its header `Connection` lacks the token `Upgrade`")]
    Connection,
    /// There is not exactly one `Sec-WebSocket-Accept`, or it does not belong to the key of the
    /// request (RFC 6455, section 4.1): perhaps a cache has answered.
    #[error("its header `Sec-WebSocket-Accept` is not the one that belongs to the request")]
    Accept,
    /// `Sec-WebSocket-Extensions` is malformed, names an extension that was not offered, or does
    /// not keep to the offer (RFC 6455, section 9.1; RFC 7692, section 7.1).
    #[error("its header `Sec-WebSocket-Extensions` does not keep to what was offered")]
    Extensions,
    /// There is more than one `Sec-WebSocket-Protocol`, or one that was not offered (RFC 6455,
    /// section 4.1).
    #[error(
        "its header `Sec-WebSocket-Protocol` is not one subprotocol of those that were offered"
    )]
    Protocol,
    /// The server chose none of the subprotocols, and the client requires one.
    #[error("it chooses none of the subprotocols that were offered, and one is required")]
    NoProtocol,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "thiserror passes references"
)]
fn display_head(error: &HeadError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    if *error == HeadError::Malformed {
        f.write_str("; perhaps the port speaks TLS, for which the URI starts with `wss`")?;
    }
    Ok(())
}
