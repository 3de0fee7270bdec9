//! The client's part of the handshake (RFC 6455, section 4.1): its request, and the check of the
//! answer.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};

use super::{
    accept_key::{NONCE_LEN, accept_key},
    tokens::has_token,
};

/// A handshake that a client has started.
#[derive(Debug)]
pub(crate) struct ClientHandshake {
    /// The `Sec-WebSocket-Accept` that the server has to send.
    accept: Option<HeaderValue>,
}

/// Why an answer did not open a socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server refused: the status is not 101.
    #[error("the server answered {0}, not 101")]
    Status(StatusCode),
    /// A header of the answer is missing or wrong.
    #[error("header `{0}` of the answer is missing or wrong")]
    Header(&'static str),
}

impl ClientHandshake {
    /// Starts a handshake with a new key. Returns it with the headers of its request, except
    /// `Host`.
    pub(crate) fn begin() -> (Self, HeaderMap) {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let key = STANDARD.encode(nonce);
        let accept = accept_key(key.as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.extend(HeaderValue::try_from(key).map(|key| (SEC_WEBSOCKET_KEY, key)));
        (Self { accept }, headers)
    }

    /// Checks the answer. Returns the subprotocol that the server chose.
    ///
    /// No extension was offered, so none may be accepted.
    pub(crate) fn check<'a, B>(
        &self,
        response: &'a Response<B>,
    ) -> Result<Option<&'a str>, OpenError> {
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
        if headers.get(SEC_WEBSOCKET_ACCEPT) != self.accept.as_ref() {
            return Err(OpenError::Header("Sec-WebSocket-Accept"));
        }
        if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
            return Err(OpenError::Header("Sec-WebSocket-Extensions"));
        }
        let protocol = headers.get(SEC_WEBSOCKET_PROTOCOL);
        let protocol = protocol.map(HeaderValue::to_str).transpose();
        protocol.map_err(|_| OpenError::Header("Sec-WebSocket-Protocol"))
    }
}
