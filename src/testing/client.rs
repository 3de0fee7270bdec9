//! The client's side of an in-memory upgrade.

use http::{Request, Response, StatusCode, header::HOST};

use super::{Duplex, duplex};
use crate::{
    config::WebSocketConfig,
    connection::Established,
    handshake::{
        HandshakeError,
        client::{Agreed, ClientHandshake},
    },
    io::{BoxIo, Io, boxed},
    message::Role,
    server::upgrade::UpgradeIo,
    socket::WebSocket,
};

/// Why an answer did not open a socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server refused: the status is not 101.
    #[error("the server answered {0}, not 101")]
    Status(StatusCode),
    /// The answer is a 101, but not a valid handshake.
    #[error("the server's answer is not a valid WebSocket handshake: {0}")]
    Handshake(HandshakeError),
}

/// The client of a request; created by [`upgrade`].
#[derive(Debug)]
pub struct Client {
    io: Duplex,
    handshake: ClientHandshake,
    config: WebSocketConfig,
}

/// Returns a request for a WebSocket at `uri`, and the client that waits for its answer.
///
/// The request is valid and carries the connection in its extensions. You can add headers such as
/// `Sec-WebSocket-Protocol` or `Origin`, and set a body of any type with `request.map(..)`.
///
/// # Panics
///
/// If `uri` is not a URI.
#[must_use]
pub fn upgrade(uri: &str) -> (Request<()>, Client) {
    upgrade_with(uri, &WebSocketConfig::new())
}

/// Returns a request for a WebSocket as [`upgrade`] does, by a client with these settings: it
/// offers their compression.
///
/// The settings are the client's. So the server may take over what it sends if they have
/// [`receive_takeover`](crate::DeflateConfig::receive_takeover), as browsers do.
///
/// # Panics
///
/// If `uri` is not a URI.
#[must_use]
pub fn upgrade_with(uri: &str, config: &WebSocketConfig) -> (Request<()>, Client) {
    let (near, far) = duplex();
    let handshake = ClientHandshake::new(config.usable_deflate());
    let mut request = Request::builder()
        .uri(uri)
        .header(HOST, "localhost")
        .extension(UpgradeIo::new(async move { Ok(far) }))
        .body(())
        .expect("all of it but the URI is valid");
    request.headers_mut().extend(handshake.headers());
    let client = Client {
        io: near,
        handshake,
        config: config.clone(),
    };
    (request, client)
}

impl Client {
    /// Replaces the settings of the client's socket: its limits, its runtime and its close timeout.
    /// What the request offers stays: see [`upgrade_with`].
    ///
    /// The settings are not validated, so that a client can do what users of the crate cannot: for
    /// instance, send fragments of one byte. Contradictory settings do not make the client hang. To
    /// find them, call [`WebSocketConfig::validate`].
    #[must_use]
    pub fn set_config(mut self, config: WebSocketConfig) -> Self {
        self.config = config;
        self
    }

    /// Opens the client's socket, if `response` says that the server has opened its own.
    ///
    /// # Errors
    ///
    /// [`OpenError::Status`] if the server refused. Otherwise the first fault of an answer that is
    /// not a valid handshake (RFC 6455, sections 4.1 and 11.3). Not checked is whether the
    /// subprotocol was offered: see [`WebSocket::protocol`].
    pub fn open<B>(self, response: &Response<B>) -> Result<WebSocket, OpenError> {
        let Self {
            io,
            handshake,
            config,
        } = self;
        open(Box::new(io), &handshake, &config, response)
    }

    /// Opens the client's socket on the test's own stream, over which it has sent the request and
    /// read `response`. The next byte of `io` is the first one behind the head of the answer.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_on<B>(
        self,
        io: impl Io + 'static,
        response: &Response<B>,
    ) -> Result<WebSocket, OpenError> {
        open(boxed(io), &self.handshake, &self.config, response)
    }
}

fn open<B>(
    io: BoxIo,
    handshake: &ClientHandshake,
    config: &WebSocketConfig,
    response: &Response<B>,
) -> Result<WebSocket, OpenError> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(OpenError::Status(response.status()));
    }
    let Agreed {
        protocol,
        compression,
    } = handshake.check(response).map_err(OpenError::Handshake)?;
    Ok(WebSocket::new(Established {
        label: None,
        permit: None,
        io,
        read_ahead: Vec::new(),
        role: Role::Client,
        protocol,
        compression,
        config,
        runtime: config.find_runtime(None),
    }))
}
