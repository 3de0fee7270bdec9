//! The URI of a WebSocket (RFC 6455, section 3).

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderValue, uri::PathAndQuery};

use crate::{config::InvalidUri, handshake::host::host_and_port};

/// The maximum length of a URI, in bytes; that of the crate `http`.
const MAX_LEN: usize = 65_534;

/// Where a client connects to, and what it asks for there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUri {
    /// The scheme is `wss`.
    pub(crate) is_secure: bool,
    /// A name, or an IP address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Host`: without the default port of the scheme (RFC 6455, section 4.1, item 4).
    pub(crate) authority: HeaderValue,
    /// The path and the query (RFC 6455, section 3, "resource name").
    pub(crate) target: PathAndQuery,
}

impl ServerUri {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidUri> {
        if text.contains('#') {
            return Err(InvalidUri::Fragment);
        }
        if !text.is_ascii() {
            return Err(InvalidUri::NotAscii);
        }
        if text.len() > MAX_LEN {
            return Err(InvalidUri::Malformed);
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUri::Scheme)?;
        let is_secure = scheme.eq_ignore_ascii_case("wss");
        if !is_secure && !scheme.eq_ignore_ascii_case("ws") {
            return Err(InvalidUri::Scheme);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(InvalidUri::UserInfo);
        }
        let (host, port) = split(authority)?;
        let default_port = if is_secure { 443 } else { 80 };
        let authority = match port {
            Some(port) if port == default_port => Cow::from(host),
            // A number may have zeroes in front.
            Some(port) if authority[host.len()..].starts_with(":0") => {
                format!("{host}:{port}").into()
            }
            Some(_) => authority.into(),
            None => host.into(),
        };
        Ok(Self {
            is_secure,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: port.unwrap_or(default_port),
            authority: HeaderValue::from_str(&authority).map_err(|_| InvalidUri::Host)?,
            target: target(path)?,
        })
    }

    /// Returns the address of a host that is no name.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Splits an authority into a host that can be connected to, and the port that it names, if any. An
/// empty port is as good as none (RFC 3986, section 3.2.3).
fn split(authority: &str) -> Result<(&str, Option<u16>), InvalidUri> {
    let Some((host, port)) = host_and_port(authority) else {
        // Without what may be a port, is the rest a host?
        let host = authority.rsplit_once(':').map(|(host, _)| host);
        let is_host = host.is_some_and(|host| host_and_port(host).is_some());
        return Err(if is_host {
            InvalidUri::Port
        } else {
            InvalidUri::Host
        });
    };
    if !is_literal(host) && !host.bytes().all(is_name_byte) {
        return Err(InvalidUri::Host);
    }
    let port = port.filter(|port| !port.is_empty());
    match port.map(str::parse).transpose() {
        Ok(Some(0)) | Err(_) => Err(InvalidUri::Port),
        Ok(port) => Ok((host, port)),
    }
}

/// Returns whether a valid host is an IPv6 address in brackets. Nobody can connect to an address of
/// a later version.
fn is_literal(host: &str) -> bool {
    host.starts_with('[') && !host.starts_with("[v") && !host.starts_with("[V")
}

/// Returns whether `byte` may be in a name that is resolved. RFC 3986 allows more in a host, such
/// as escapes, but no resolver takes them.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

/// Returns the path and the query of a URI. The path is at least a slash.
fn target(path: &str) -> Result<PathAndQuery, InvalidUri> {
    let parsed = if path.starts_with('/') {
        PathAndQuery::try_from(path)
    } else {
        PathAndQuery::try_from(format!("/{path}"))
    };
    parsed.map_err(|_| InvalidUri::Malformed)
}

#[cfg(test)]
mod tests {
    use super::{InvalidUri, ServerUri};

    fn server(is_secure: bool, host: &str, port: u16, authority: &str, target: &str) -> ServerUri {
        ServerUri {
            is_secure,
            host: host.to_owned(),
            port,
            authority: authority.parse().unwrap(),
            target: target.parse().unwrap(),
        }
    }

    #[test]
    fn the_scheme_has_a_port_that_host_does_not_name() {
        for (text, expected) in [
            ("ws://a", server(false, "a", 80, "a", "/")),
            ("wss://a", server(true, "a", 443, "a", "/")),
            ("wsS://a:443/", server(true, "a", 443, "a", "/")),
            ("ws://a:443/", server(false, "a", 443, "a:443", "/")),
            ("wss://a:80", server(true, "a", 80, "a:80", "/")),
            ("ws://a:080", server(false, "a", 80, "a", "/")),
            ("ws://a:/b", server(false, "a", 80, "a", "/b")),
            ("ws://a:08080", server(false, "a", 8080, "a:8080", "/")),
        ] {
            assert_eq!(ServerUri::parse(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses_and_targets_start_with_a_slash() {
        let fe80 = server(true, "fe80::1", 65535, "[fe80::1]:65535", "/x");
        let punycode = "xn--bcher-kva.example";
        for (text, expected) in [
            (
                "WS://A.Example/B?C",
                server(false, "A.Example", 80, "A.Example", "/B?C"),
            ),
            (
                "ws://a:8080?b=/c?d",
                server(false, "a", 8080, "a:8080", "/?b=/c?d"),
            ),
            ("ws://a?", server(false, "a", 80, "a", "/?")),
            (
                "ws://1.2.3.4:1/%20",
                server(false, "1.2.3.4", 1, "1.2.3.4:1", "/%20"),
            ),
            ("ws://[::1]", server(false, "::1", 80, "[::1]", "/")),
            ("wss://[fe80::1]:65535/x", fe80),
            ("ws://a_b", server(false, "a_b", 80, "a_b", "/")),
            (
                "ws://xn--bcher-kva.example",
                server(false, punycode, 80, punycode, "/"),
            ),
        ] {
            assert_eq!(ServerUri::parse(text), Ok(expected), "{text:?}");
        }
        assert!(ServerUri::parse("ws://[::1]").unwrap().ip().is_some());
        assert!(ServerUri::parse("ws://1.2.3.4").unwrap().ip().is_some());
        assert!(ServerUri::parse("ws://a").unwrap().ip().is_none());
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", InvalidUri::Scheme),
            ("ws://", InvalidUri::Host),
            ("ws:///a", InvalidUri::Host),
            ("ws://a b", InvalidUri::Host),
            ("ws://a/b c", InvalidUri::Malformed),
            ("ws://a/\r\nX: y", InvalidUri::Malformed),
            (" ws://a", InvalidUri::Scheme),
            ("ws://a/\u{e4}", InvalidUri::NotAscii),
            ("ws://b\u{fc}cher.example/", InvalidUri::NotAscii),
            ("a", InvalidUri::Scheme),
            ("/a", InvalidUri::Scheme),
            ("a:80", InvalidUri::Scheme),
            ("http://a", InvalidUri::Scheme),
            ("https://a", InvalidUri::Scheme),
            ("wsx://a", InvalidUri::Scheme),
            ("ws://a/#", InvalidUri::Fragment),
            ("ws://a#b", InvalidUri::Fragment),
            ("ws://me@a", InvalidUri::UserInfo),
            ("ws://me:secret@a/b", InvalidUri::UserInfo),
            ("ws://:80", InvalidUri::Host),
            ("ws://a%20b", InvalidUri::Host),
            ("ws://a,b", InvalidUri::Host),
            ("ws://[v1.a]", InvalidUri::Host),
            ("ws://[zz]", InvalidUri::Host),
            ("ws://[1.2.3.4]", InvalidUri::Host),
            ("ws://a:b", InvalidUri::Port),
            ("ws://a:0", InvalidUri::Port),
            ("ws://a:65536", InvalidUri::Port),
            ("ws://a:-1", InvalidUri::Port),
            ("ws://a:80x", InvalidUri::Port),
        ] {
            assert_eq!(ServerUri::parse(text), Err(reason), "{text:?}");
        }
    }
}
