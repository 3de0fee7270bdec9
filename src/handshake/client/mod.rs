//! The client's part of the handshake (RFC 6455, section 4.1): its request, and the check of the
//! answer.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderName, HeaderValue, Response, Version,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};

#[cfg(feature = "testing")]
pub(crate) use self::between::between;
#[cfg(feature = "client")]
pub(crate) use self::{
    body::Body,
    policy::{check_protocol, offered_protocols, origin},
    request::{check_additional, encode},
    uri::ServerUri,
};
use super::{
    HandshakeError,
    accept_key::{KEY_LEN, NONCE_LEN, accept_key},
    headers::{announces_body, one},
    tokens::{has_token, is_token},
};
use crate::config::{Compression, DeflateConfig};

#[cfg(feature = "testing")]
mod between;
#[cfg(feature = "client")]
mod body;
mod deflate;
#[cfg(feature = "client")]
mod policy;
#[cfg(feature = "client")]
mod request;
#[cfg(feature = "client")]
mod uri;

/// A handshake that a client has started.
#[derive(Debug)]
pub(crate) struct ClientHandshake {
    /// The `Sec-WebSocket-Key` of the request.
    key: [u8; KEY_LEN],
    /// The compression that was offered.
    deflate: Option<DeflateConfig>,
}

/// What the answer of a server has agreed to.
pub(crate) struct Agreed<'a> {
    /// The subprotocol, which the caller has to compare with what it offered.
    pub(crate) protocol: Option<&'a str>,
    pub(crate) compression: Option<Compression>,
}

impl ClientHandshake {
    /// Starts a handshake with a new key, which offers compression by `deflate`.
    pub(crate) fn new(deflate: Option<&DeflateConfig>) -> Self {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut key = [0; KEY_LEN];
        let length = STANDARD.encode_slice(nonce, &mut key);
        debug_assert_eq!(length, Ok(KEY_LEN));
        let deflate = deflate.copied();
        Self { key, deflate }
    }

    /// Returns the headers of the request, except `Host`.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let key = HeaderValue::from_bytes(&self.key).ok();
        let offer = self.deflate.as_ref().map(deflate::offer);
        [
            Some((UPGRADE, HeaderValue::from_static("websocket"))),
            Some((CONNECTION, HeaderValue::from_static("Upgrade"))),
            Some((SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))),
            key.map(|key| (SEC_WEBSOCKET_KEY, key)),
            offer.map(|offer| (SEC_WEBSOCKET_EXTENSIONS, offer.to_value())),
        ]
        .into_iter()
        .flatten()
    }

    /// Checks an answer with status 101 (RFC 6455, sections 4.1 and 11.3). Returns what it agrees
    /// to.
    pub(crate) fn check<'a, B>(
        &self,
        response: &'a Response<B>,
    ) -> Result<Agreed<'a>, HandshakeError> {
        if response.version() != Version::HTTP_11 {
            return Err(HandshakeError::Version(response.version()));
        }
        let headers = response.headers();
        let upgrade = one(headers, &UPGRADE).map(HeaderValue::as_bytes);
        if !upgrade.is_some_and(|it| it.eq_ignore_ascii_case(b"websocket")) {
            return Err(HandshakeError::Upgrade);
        }
        if !has_token(headers, &CONNECTION, "upgrade") {
            return Err(HandshakeError::Connection);
        }
        let accept = accept_key(&self.key);
        if one(headers, &SEC_WEBSOCKET_ACCEPT).is_none_or(|it| Some(it) != accept.as_ref()) {
            return Err(HandshakeError::Accept);
        }
        let compression = deflate::check(headers, self.deflate.as_ref())
            .map_err(|_| HandshakeError::Extensions)?;
        if announces_body(headers) {
            return Err(HandshakeError::Body);
        }
        let protocol = one(headers, &SEC_WEBSOCKET_PROTOCOL)
            .and_then(|name| name.to_str().ok())
            .filter(|name| is_token(name.as_bytes()));
        if protocol.is_none() && headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
            return Err(HandshakeError::Protocol);
        }
        Ok(Agreed {
            protocol,
            compression,
        })
    }
}
