//! The request of a client, as bytes.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, TRANSFER_ENCODING, UPGRADE},
};

use super::ServerUri;
use crate::config::ConfigError;

/// What most requests need, in bytes: the headers of the handshake take 170.
const USUAL_LEN: usize = 512;

/// Checks that no additional header of a request belongs to the handshake.
pub(crate) fn check_additional(headers: &HeaderMap) -> Result<(), ConfigError> {
    match headers.keys().find(|name| belongs_to_handshake(name)) {
        Some(name) => Err(ConfigError::HandshakeHeader(name.clone())),
        None => Ok(()),
    }
}

/// Returns whether the handshake makes this header itself, or the header would announce a body.
fn belongs_to_handshake(name: &HeaderName) -> bool {
    [
        HOST,
        CONNECTION,
        UPGRADE,
        ORIGIN,
        CONTENT_LENGTH,
        TRANSFER_ENCODING,
    ]
    .contains(name)
        || name.as_str().starts_with("sec-websocket-")
}

/// Encodes a request as HTTP/1.1.
pub(crate) fn encode(
    server: &ServerUri,
    handshake: impl Iterator<Item = (HeaderName, HeaderValue)>,
    additional: &HeaderMap,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_LEN);
    for part in ["GET ", server.target.as_str(), " HTTP/1.1\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    // RFC 9110, section 7.2: `Host` comes first.
    push_line(&mut bytes, &HOST, &server.authority);
    for (name, value) in handshake {
        push_line(&mut bytes, &name, &value);
    }
    for (name, value) in additional {
        push_line(&mut bytes, name, value);
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn push_line(bytes: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    bytes.extend_from_slice(name.as_str().as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value.as_bytes());
    bytes.extend_from_slice(b"\r\n");
}
