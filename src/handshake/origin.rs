//! The `Origin` of a request, for servers that allow only some (RFC 6455, section 10.2; RFC 6454).

use http::{HeaderMap, header::ORIGIN};

use super::host::host_and_port;

/// Scheme, host and port: what makes two origins the same (RFC 6454, section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Reads `scheme://host[:port]` with nothing behind it; `null` is no origin.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.bytes().next()?.is_ascii_alphabetic()
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let (host, port) = Some(authority)
            .filter(|_| is_scheme)
            .and_then(host_and_port)?;
        let port = match port {
            None => None,
            Some(port) => Some(port.parse().ok()?),
        };
        let scheme = scheme.to_ascii_lowercase();
        let port = port.or(match scheme.as_str() {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        });
        Some(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// Returns the one origin that a request names.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(ORIGIN).into_iter();
        let (line, None) = (lines.next()?, lines.next()) else {
            return None;
        };
        Self::parse(line.to_str().ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn scheme_host_and_port_make_an_origin() {
        let same = |a, b| Origin::parse(a).unwrap() == Origin::parse(b).unwrap();
        assert!(same("https://a.example", "HTTPS://A.example:443"));
        assert!(same("http://[::1]:80", "http://[::1]"));
        assert!(!same("https://a.example", "http://a.example"));
        assert!(!same("https://a.example", "https://a.example:8443"));
        assert!(!same("https://a.example", "https://b.a.example"));
        assert!(!same("https://a.example", "https://a.example."));
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "null",
            "*",
            "a.example",
            "//a.example",
            "https://",
            "https://a.example/",
            "https://a.example/x",
            "https://user@a.example",
            "https://a.example:",
            "1https://a",
            "https://a.example:99999",
            "https://a.example:+1",
            "https://a.example https://b.example",
            "https://a.example?x",
            "https://a.example#x",
            "ht tp://a",
        ] {
            assert_eq!(Origin::parse(text), None, "{text:?}");
        }
    }
}
