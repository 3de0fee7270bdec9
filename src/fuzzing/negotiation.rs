//! The negotiation of compression, through whole handshakes.

use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Version,
    header::{HOST, SEC_WEBSOCKET_EXTENSIONS},
};

use crate::{
    config::{Compression, DeflateConfig, Takeover},
    handshake::{
        HandshakeError, Policy, ProtocolChoice, UpgradeRequest, client::ClientHandshake,
        rejection::Rejection,
    },
};

/// What an end has agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the fuzz targets make it")]
pub struct Agreed {
    /// What this end takes over.
    pub takeover: Takeover,
    /// How hard it compresses.
    pub level: u8,
    /// How long a message is that it compresses, in bytes.
    pub threshold: u32,
    /// The window of what it sends, as a power of two.
    pub window: u8,
    /// The window of what it receives, if the peer takes over.
    pub peer_window: Option<u8>,
}

impl From<Compression> for Agreed {
    fn from(agreed: Compression) -> Self {
        Self {
            takeover: agreed.takeover,
            level: agreed.level,
            threshold: agreed.threshold,
            window: agreed.window,
            peer_window: agreed.peer_window,
        }
    }
}

impl From<Agreed> for Compression {
    fn from(agreed: Agreed) -> Self {
        Self {
            level: agreed.level,
            threshold: agreed.threshold,
            takeover: agreed.takeover,
            window: agreed.window,
            peer_window: agreed.peer_window,
        }
    }
}

/// A client that has sent its request.
#[derive(Debug)]
pub struct Offer {
    handshake: ClientHandshake,
    request: HeaderMap,
}

impl Offer {
    /// Starts a handshake that offers compression by `config`.
    #[must_use]
    pub fn new(config: Option<&DeflateConfig>) -> Self {
        let handshake = ClientHandshake::new(config);
        let mut request: HeaderMap = handshake.headers().collect();
        request.insert(HOST, HeaderValue::from_static("localhost"));
        Self { handshake, request }
    }

    /// Returns the headers of the request.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.request
    }

    /// Replaces what is offered.
    pub fn set_extensions(&mut self, lines: Vec<HeaderValue>) {
        set(&mut self.request, lines);
    }
}

/// Answers as a server with these settings. Returns the answer, and what it agrees to.
///
/// # Errors
///
/// Why the request is rejected.
pub fn answer(
    offer: &Offer,
    config: Option<&DeflateConfig>,
) -> Result<(HeaderMap, Option<Agreed>), Rejection> {
    let request = UpgradeRequest::read(&Method::GET, Version::HTTP_11, &offer.request)?;
    let decided = request.decide(&Policy::default(), &ProtocolChoice::List, config);
    let Ok(negotiated) = decided else {
        return Err(Rejection::Origin);
    };
    let answer = negotiated.response(()).into_parts().0.headers;
    Ok((answer, negotiated.compression().map(Agreed::from)))
}

/// Checks an answer as the client that has made the offer; with other extensions if there are any.
///
/// # Errors
///
/// Why the answer is not accepted.
pub fn agree(
    offer: &Offer,
    mut answer: HeaderMap,
    extensions: Option<Vec<HeaderValue>>,
) -> Result<Option<Agreed>, HandshakeError> {
    if let Some(lines) = extensions {
        set(&mut answer, lines);
    }
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = answer;
    let agreed = offer.handshake.check(&response)?;
    Ok(agreed.compression.map(Agreed::from))
}

fn set(headers: &mut HeaderMap, lines: Vec<HeaderValue>) {
    headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    for line in lines {
        headers.append(SEC_WEBSOCKET_EXTENSIONS, line);
    }
}
