//! Subprotocols: which ones the client offers, and which one the server chooses (RFC 6455, section
//! 4.2.2).

use std::{borrow::Cow, collections::HashSet, fmt, iter::FusedIterator, slice, sync::Arc};

use http::{HeaderMap, header::SEC_WEBSOCKET_PROTOCOL};

use super::{
    rejection::Rejection,
    tokens::{is_token, members},
};
use crate::config::ConfigError;

/// Returns the subprotocols of a request, in the client's order.
///
/// They have to be unique tokens, and at least one if the header is present (RFC 6455, section 4.1,
/// item 10).
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

/// The subprotocols that a client offers, in its order: an iterator over their names.
#[derive(Clone)]
pub struct RequestedProtocols<'a>(slice::Iter<'a, String>);

impl<'a> RequestedProtocols<'a> {
    pub(super) fn new(names: &'a [String]) -> Self {
        Self(names.iter())
    }
}

impl<'a> Iterator for RequestedProtocols<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.next().map(String::as_str)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl DoubleEndedIterator for RequestedProtocols<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(String::as_str)
    }
}

impl ExactSizeIterator for RequestedProtocols<'_> {}

impl FusedIterator for RequestedProtocols<'_> {}

/// Shows no name: some clients send tokens in this header.
impl fmt::Debug for RequestedProtocols<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestedProtocols")
            .field("len", &self.0.len())
            .finish_non_exhaustive()
    }
}

/// The subprotocols that a server supports, the preferred one first.
#[derive(Clone, Debug)]
pub(crate) struct Supported {
    /// Shared, because settings are cloned for each request.
    names: Arc<[Cow<'static, str>]>,
    /// All of them are tokens (RFC 6455, section 4.1, item 10).
    are_tokens: bool,
}

impl Supported {
    pub(crate) fn new(names: impl Iterator<Item = Cow<'static, str>>) -> Self {
        let names: Arc<[_]> = names.collect();
        Self {
            are_tokens: names.iter().all(|name| is_token(name.as_bytes())),
            names,
        }
    }

    /// Appends the names that are not in the list yet.
    pub(crate) fn add<'a>(&mut self, names: impl Iterator<Item = &'a Cow<'static, str>>) {
        for name in names {
            if !self.names.contains(name) {
                self.are_tokens &= is_token(name.as_bytes());
                self.names = self.names.iter().chain([name]).cloned().collect();
            }
        }
    }

    /// Returns the names, the preferred one first.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns an error for a name that no client can offer.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut names = self.names.iter().filter(|_| !self.are_tokens);
        match names.find(|name| !is_token(name.as_bytes())) {
            Some(name) => Err(ConfigError::Protocol(name.to_string())),
            None => Ok(()),
        }
    }
}

/// The default is no subprotocol. It allocates nothing, because each request starts with it.
impl Default for Supported {
    fn default() -> Self {
        Self {
            names: Arc::default(),
            are_tokens: true,
        }
    }
}

/// How the subprotocol of a connection is chosen.
pub(crate) enum ProtocolChoice {
    /// By the list: the first of the server's names that the client offers.
    List,
    /// By the user's callback: its result.
    Callback(Option<Cow<'static, str>>),
}

impl ProtocolChoice {
    /// Returns the subprotocol that is chosen from the `requested` ones.
    pub(crate) fn select<'a>(
        &'a self,
        supported: &'a Supported,
        requested: &RequestedProtocols<'_>,
    ) -> Option<&'a str> {
        match self {
            Self::List => supported
                .names()
                .find(|name| requested.clone().any(|offered| offered == *name)),
            Self::Callback(selected) => selected.as_deref(),
        }
    }
}
