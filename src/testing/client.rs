//! The client's side of an upgrade in memory.

use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{
        CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};

use super::{Duplex, duplex};
use crate::{
    UpgradeIo, WebSocket, WebSocketConfig,
    handshake::{accept_key, tokens::has_token},
    message::Role,
    rt,
};

/// The key of every request in memory, the one of RFC 6455, section 1.3: its purpose, to tell a
/// WebSocket server from a cache, has none here.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The client of a request made by [`upgrade`].
#[derive(Debug)]
pub struct Client {
    io: Duplex,
    config: WebSocketConfig,
}

/// Why an answer opens no socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server refused: another status than 101.
    #[error("the server answered {0}, not 101")]
    Status(StatusCode),
    /// A header of the answer is missing or wrong.
    #[error("header `{0}` of the answer is missing or wrong")]
    Header(&'static str),
}

/// Makes a request for a WebSocket at `uri`, and the client that waits for its answer.
///
/// The request is valid and carries the connection in its extensions; headers such as
/// `Sec-WebSocket-Protocol` or `Origin` can be added, and a body of any type put in by
/// `request.map(..)`.
///
/// # Panics
///
/// If `uri` is no URI.
#[must_use]
pub fn upgrade(uri: &str) -> (Request<()>, Client) {
    let (near, far) = duplex();
    let request = Request::builder()
        .uri(uri)
        .header(HOST, "localhost")
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, KEY)
        .extension(UpgradeIo::new(async move { Ok(far) }))
        .body(())
        .expect("all of it but the URI is valid");
    (
        request,
        Client {
            io: near,
            config: WebSocketConfig::new(),
        },
    )
}

impl Client {
    /// Sets the settings of the client's socket: its limits, its runtime and its close timeout.
    ///
    /// They are not validated, so that a client can do what the crate's users cannot: send
    /// fragments of one byte, for instance. Settings that contradict each other do not make it
    /// hang.
    /// [`WebSocketConfig::validate`] finds them.
    #[must_use]
    pub fn set_config(mut self, config: WebSocketConfig) -> Self {
        self.config = config;
        self
    }

    /// Opens the client's socket, if `response` says that the server has opened its own.
    ///
    /// # Errors
    ///
    /// [`OpenError::Status`] if the server refused, [`OpenError::Header`] if its answer is no valid
    /// handshake (RFC 6455, section 4.1).
    pub fn open<B>(self, response: &Response<B>) -> Result<WebSocket, OpenError> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(OpenError::Status(response.status()));
        }
        let headers = response.headers();
        if !has_token(headers, &UPGRADE, "websocket") {
            return Err(OpenError::Header("Upgrade"));
        }
        if !has_token(headers, &CONNECTION, "upgrade") {
            return Err(OpenError::Header("Connection"));
        }
        if headers.get(SEC_WEBSOCKET_ACCEPT) != accept_key(KEY.as_bytes()).as_ref() {
            return Err(OpenError::Header("Sec-WebSocket-Accept"));
        }
        let protocol = headers
            .get(SEC_WEBSOCKET_PROTOCOL)
            .map(HeaderValue::to_str)
            .transpose();
        let protocol = protocol.map_err(|_| OpenError::Header("Sec-WebSocket-Protocol"))?;
        let runtime = self.config.runtime.clone().or_else(rt::detect);
        let io = Box::new(self.io);
        Ok(WebSocket::new(
            io,
            Vec::new(),
            Role::Client,
            protocol,
            &self.config,
            runtime,
        ))
    }
}
