//! What a client's settings ask of the server: an origin to be believed, and a subprotocol.

use http::HeaderValue;

use crate::{
    config::ConfigError,
    handshake::{HandshakeError, Policy, ProtocolChoice, origin::Origin},
};

/// Returns the `Sec-WebSocket-Protocol` of a request; `None` if no subprotocol is offered.
///
/// They have to be unique tokens (RFC 6455, section 4.1, item 10).
pub(crate) fn offered_protocols(policy: &Policy) -> Result<Option<HeaderValue>, ConfigError> {
    policy.check_choice(&ProtocolChoice::List)?;
    policy.protocols.check()?;
    let names: Vec<_> = policy.protocols.names().collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(ConfigError::RepeatedProtocol((*name).to_owned()));
        }
    }
    // Tokens and commas are a valid value.
    Ok(HeaderValue::try_from(names.join(", "))
        .ok()
        .filter(|value| !value.is_empty()))
}

/// Checks the subprotocol that the server has chosen (RFC 6455, section 4.1).
pub(crate) fn check_protocol(policy: &Policy, chosen: Option<&str>) -> Result<(), HandshakeError> {
    match chosen {
        None if policy.require_protocol => Err(HandshakeError::NoProtocol),
        Some(chosen) if !policy.protocols.names().any(|name| name == chosen) => {
            Err(HandshakeError::Protocol)
        }
        _ => Ok(()),
    }
}

/// Returns the `Origin` of a request (RFC 6454, section 7).
pub(crate) fn origin(text: &str) -> Result<HeaderValue, ConfigError> {
    Origin::parse(text)
        .and_then(|_| HeaderValue::from_str(text).ok())
        .ok_or_else(|| ConfigError::ClientOrigin(text.to_owned()))
}
