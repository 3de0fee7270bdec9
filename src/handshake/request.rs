//! A valid opening handshake, and the answer to it (RFC 6455, section 4.2).

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
        SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING,
        UPGRADE,
    },
};

use super::{
    accept_key::accept_key,
    deflate::{self, Parameters},
    extensions::Malformed,
    headers::{announces_body, one},
    host::host_and_port,
    origin::RequestOrigin,
    policy::Policy,
    protocols::{ProtocolChoice, RequestedProtocols, requested},
    rejection::Rejection,
    tokens::{has_token, is_token},
};
use crate::config::{Compression, ConfigError, DeflateConfig};

/// Why a valid request is not accepted.
pub(crate) enum Refusal {
    /// The client does not satisfy the server's policy.
    Client(Rejection),
    /// The server's settings cannot work.
    Server(ConfigError),
}

/// An opening handshake with valid headers.
///
/// Neither it nor [`Negotiated`] implements `Debug`: clients send tokens as names of subprotocols.
pub(crate) struct UpgradeRequest {
    accept: HeaderValue,
    requested: Vec<String>,
    origin: RequestOrigin,
    /// The client's offer of permessage-deflate.
    deflate: Option<Parameters>,
}

impl UpgradeRequest {
    /// Checks the head of a request (RFC 6455, section 4.2.1).
    pub(crate) fn read(
        method: &Method,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<Self, Rejection> {
        if method != Method::GET {
            return Err(Rejection::Method);
        }
        match version {
            Version::HTTP_11 => {}
            Version::HTTP_10 => return Err(Rejection::Http10),
            _ => return Err(Rejection::HttpVersion),
        }
        if !one(headers, &HOST).is_some_and(is_host) {
            return Err(Rejection::Host);
        }
        if announces_body(headers) {
            return Err(Rejection::Body);
        }
        if !has_token(headers, &UPGRADE, "websocket") {
            return Err(Rejection::UpgradeHeader);
        }
        if !has_token(headers, &CONNECTION, "upgrade") {
            return Err(Rejection::ConnectionHeader);
        }
        if one(headers, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Rejection::VersionHeader);
        }
        let accept = one(headers, &SEC_WEBSOCKET_KEY)
            .and_then(|key| accept_key(key.as_bytes()))
            .ok_or(Rejection::KeyHeader)?;
        let deflate =
            deflate::find_offer(headers).map_err(|Malformed| Rejection::ExtensionsHeader)?;
        Ok(Self {
            accept,
            requested: requested(headers)?,
            origin: RequestOrigin::of(headers),
            deflate,
        })
    }

    /// Returns whether a request asks for a WebSocket at all, even incorrectly.
    ///
    /// An HTTP/1.0 request does not: its `Upgrade` has no meaning (RFC 9110, section 7.8).
    pub(crate) fn is_asked_for(version: Version, headers: &HeaderMap) -> bool {
        version > Version::HTTP_10
            && (has_token(headers, &UPGRADE, "websocket")
                || headers.contains_key(SEC_WEBSOCKET_KEY))
    }

    /// Returns the subprotocols that the client offers, in the client's order.
    pub(crate) fn requested_protocols(&self) -> RequestedProtocols<'_> {
        RequestedProtocols::new(&self.requested)
    }

    /// Applies the server's policy, which has to be valid: who may connect, with which subprotocol,
    /// and with which compression.
    pub(crate) fn decide(
        self,
        policy: &Policy,
        choice: &ProtocolChoice,
        deflate: Option<&DeflateConfig>,
    ) -> Result<Negotiated, Refusal> {
        if !policy.allows(&self.origin) {
            return Err(Refusal::Client(Rejection::Origin));
        }
        let selected = choice.select(&policy.protocols, &self.requested_protocols());
        if selected.is_none() && policy.require_protocol {
            return Err(Refusal::Client(Rejection::NoProtocol));
        }
        let protocol = selected.map(|name| self.answer(name)).transpose();
        let protocol = protocol.map_err(Refusal::Server)?;
        let offer = self.deflate;
        Ok(Negotiated {
            accept: self.accept,
            protocol,
            deflate: offer.and_then(|offer| Some(deflate::answer(offer, deflate?))),
        })
    }

    /// Returns the answer's subprotocol, which has to be one that was offered (RFC 6455, section
    /// 4.2.2).
    fn answer(&self, name: &str) -> Result<HeaderValue, ConfigError> {
        Some(name)
            .filter(|name| is_token(name.as_bytes()))
            .filter(|name| self.requested.iter().any(|offered| offered == name))
            .and_then(|name| HeaderValue::from_str(name).ok())
            .ok_or_else(|| ConfigError::ProtocolNotOffered(name.to_owned()))
    }
}

/// An accepted handshake, with the subprotocol that the server chose.
pub(crate) struct Negotiated {
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
    deflate: Option<(Parameters, Compression)>,
}

impl Negotiated {
    /// Returns the chosen subprotocol.
    pub(crate) fn protocol(&self) -> Option<&str> {
        self.protocol.as_ref().and_then(|name| name.to_str().ok())
    }

    /// Returns the compression that was agreed, if any.
    pub(crate) fn compression(&self) -> Option<Compression> {
        self.deflate.map(|(_, compression)| compression)
    }

    /// Returns the answer that switches protocols (RFC 6455, section 4.2.2, item 5).
    pub(crate) fn response<B>(&self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if let Some(protocol) = &self.protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol.clone());
        }
        // No empty header if nothing was agreed: Safari would fail the connection.
        if let Some((parameters, _)) = self.deflate {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, parameters.to_value());
        }
        response
    }

    /// Returns the same answer with more headers, none of which may belong to the handshake.
    pub(crate) fn response_with<B>(
        &self,
        body: B,
        headers: HeaderMap,
    ) -> Result<Response<B>, ConfigError> {
        if let Some(name) = headers.keys().find(|name| belongs_to_handshake(name)) {
            return Err(ConfigError::HandshakeHeader(name.clone()));
        }
        let mut response = self.response(body);
        response.headers_mut().extend(headers);
        Ok(response)
    }
}

/// Returns whether a header belongs to the handshake, or would announce a body: the client would
/// read the frames as that body.
fn belongs_to_handshake(name: &HeaderName) -> bool {
    [CONNECTION, UPGRADE, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
        || name.as_str().starts_with("sec-websocket-")
}

/// Returns whether a value is a host with an optional port, without user information (RFC 9112,
/// section 3.2).
fn is_host(value: &HeaderValue) -> bool {
    value
        .to_str()
        .is_ok_and(|host| host_and_port(host).is_some())
}
