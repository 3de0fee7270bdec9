//! Subprotocols: what the client offers and which one the server takes (RFC 6455, section 4.2.2).

use std::{borrow::Cow, collections::HashSet};

use http::{HeaderMap, header::SEC_WEBSOCKET_PROTOCOL};

use super::{
    Rejection,
    tokens::{is_token, members},
};

/// Returns the subprotocols of a request in the client's order.
///
/// RFC 6455, section 4.1, item 10: unique tokens, at least one when the header is there.
pub(super) fn requested(headers: &HeaderMap) -> Result<Vec<String>, Rejection> {
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    for member in members(headers, &SEC_WEBSOCKET_PROTOCOL) {
        let name = Some(member)
            .filter(|member| is_token(member) && seen.insert(*member))
            .and_then(|member| std::str::from_utf8(member).ok())
            .ok_or(Rejection::ProtocolHeader)?;
        names.push(name.to_owned());
    }
    if names.is_empty() && headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Err(Rejection::ProtocolHeader);
    }
    Ok(names)
}

/// How the subprotocol of a connection is chosen.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// The first name of the server's list that the client offers.
    List,
    /// What a callback of the user's said.
    Callback(Option<Cow<'static, str>>),
}

impl Choice {
    /// Returns the chosen one of the `requested` subprotocols, of which the server knows those
    /// `supported`.
    pub(crate) fn select<'a>(
        &'a self,
        supported: &'a [Cow<'static, str>],
        requested: &[String],
    ) -> Option<&'a str> {
        match self {
            Self::List => supported
                .iter()
                .map(|name| &**name)
                .find(|name| requested.iter().any(|offered| offered == name)),
            Self::Callback(selected) => selected.as_deref(),
        }
    }
}
