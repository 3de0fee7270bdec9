//! The client's part of the handshake (RFC 6455, section 4.1): its request, and the check of the
//! answer.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode, Version,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};

pub(crate) use self::deflate::between;
use super::{
    accept_key::{NONCE_LEN, accept_key},
    headers::{announces_body, one},
    tokens::{has_token, is_token},
};
use crate::config::{Compression, DeflateConfig};

mod deflate;

/// A handshake that a client has started.
#[derive(Debug)]
pub(crate) struct ClientHandshake {
    /// The `Sec-WebSocket-Accept` that the server has to send.
    accept: Option<HeaderValue>,
    /// The compression that was offered.
    deflate: Option<DeflateConfig>,
}

/// What the answer of a server has agreed to.
pub(crate) struct Agreed<'a> {
    /// The subprotocol, which the caller has to compare with what it offered.
    pub(crate) protocol: Option<&'a str>,
    pub(crate) compression: Option<Compression>,
}

/// Why an answer did not open a socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server refused: the status is not 101.
    #[error("the server answered {0}, not 101")]
    Status(StatusCode),
    /// The answer is not HTTP/1.1.
    #[error("the answer is {0:?}, not HTTP/1.1")]
    Version(Version),
    /// The answer announces a body, which a 101 never has (RFC 9110, section 15.2).
    #[error("the answer announces a body: a 101 has none")]
    Body,
    /// A header of the answer is missing, wrong, repeated or forbidden.
    #[error("header `{0}` of the answer is missing, wrong, repeated or forbidden")]
    Header(&'static str),
}

impl ClientHandshake {
    /// Starts a handshake with a new key, which offers compression by `deflate`. Returns it with
    /// the headers of its request, except `Host`.
    pub(crate) fn begin(deflate: Option<&DeflateConfig>) -> (Self, HeaderMap) {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let key = STANDARD.encode(nonce);
        let accept = accept_key(key.as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.extend(HeaderValue::try_from(key).map(|key| (SEC_WEBSOCKET_KEY, key)));
        if let Some(config) = deflate {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, deflate::offer(config).to_value());
        }
        let deflate = deflate.copied();
        (Self { accept, deflate }, headers)
    }

    /// Checks the answer (RFC 6455, sections 4.1 and 11.3). Returns what it agrees to.
    pub(crate) fn check<'a, B>(&self, response: &'a Response<B>) -> Result<Agreed<'a>, OpenError> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(OpenError::Status(response.status()));
        }
        if response.version() != Version::HTTP_11 {
            return Err(OpenError::Version(response.version()));
        }
        let headers = response.headers();
        let upgrade = one(headers, &UPGRADE).map(HeaderValue::as_bytes);
        if !upgrade.is_some_and(|it| it.eq_ignore_ascii_case(b"websocket")) {
            return Err(OpenError::Header("Upgrade"));
        }
        if !has_token(headers, &CONNECTION, "upgrade") {
            return Err(OpenError::Header("Connection"));
        }
        if one(headers, &SEC_WEBSOCKET_ACCEPT).is_none_or(|it| Some(it) != self.accept.as_ref()) {
            return Err(OpenError::Header("Sec-WebSocket-Accept"));
        }
        let compression = deflate::check(headers, self.deflate.as_ref())
            .map_err(|_| OpenError::Header("Sec-WebSocket-Extensions"))?;
        if announces_body(headers) {
            return Err(OpenError::Body);
        }
        let protocol = one(headers, &SEC_WEBSOCKET_PROTOCOL)
            .and_then(|name| name.to_str().ok())
            .filter(|name| is_token(name.as_bytes()));
        if protocol.is_none() && headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
            return Err(OpenError::Header("Sec-WebSocket-Protocol"));
        }
        Ok(Agreed {
            protocol,
            compression,
        })
    }
}
