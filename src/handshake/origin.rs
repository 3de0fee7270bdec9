//! The `Origin` of a request, for servers that restrict it (RFC 6455, section 10.2; RFC 6454).

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, header::ORIGIN};

use super::host::host_and_port;
use crate::config::ConfigError;

/// The origin of a request.
pub(crate) enum RequestOrigin {
    /// There is no `Origin`: the request does not come from a browser.
    Missing,
    /// There are two `Origin` lines, or one that is malformed.
    Invalid,
    One(Origin),
}

impl RequestOrigin {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(ORIGIN).into_iter();
        let origin = match (lines.next(), lines.next()) {
            (None, _) => return Self::Missing,
            (Some(line), None) => line.to_str().ok().and_then(Origin::parse),
            (Some(_), Some(_)) => None,
        };
        origin.map_or(Self::Invalid, Self::One)
    }
}

/// An origin (RFC 6454, section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `null`: the page's origin is private, as in a sandboxed frame.
    Null,
    /// `file://`, which some browsers send for a page from a file.
    File,
    Site(Site),
}

/// Scheme, host and port: two origins are the same if these are (RFC 6454, section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Null);
        }
        if text.eq_ignore_ascii_case("file://") {
            return Some(Self::File);
        }
        Site::parse(text).map(Self::Site)
    }
}

impl Site {
    /// Parses `scheme://host[:port]`, with nothing after it.
    fn parse(text: &str) -> Option<Self> {
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
}

/// The origins that may connect, parsed once.
#[derive(Clone, Debug)]
pub(crate) struct AllowedOrigins(
    /// The error is the first text that is not a pattern.
    Result<Arc<[Pattern]>, Cow<'static, str>>,
);

impl AllowedOrigins {
    pub(crate) fn parse(texts: impl Iterator<Item = Cow<'static, str>>) -> Self {
        Self(
            texts
                .map(|text| Pattern::parse(&text).ok_or(text))
                .collect(),
        )
    }

    /// Returns an error if the list cannot work: a text is not a pattern, or nothing matches the
    /// list.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match &self.0 {
            Err(text) => Err(ConfigError::Origin(text.to_string())),
            Ok(patterns) if patterns.is_empty() => Err(ConfigError::NoOrigins),
            Ok(_) => Ok(()),
        }
    }

    pub(crate) fn contains(&self, origin: &Origin) -> bool {
        let patterns = self.0.as_ref().map_or(&[][..], |patterns| patterns);
        patterns.iter().any(|pattern| pattern.matches(origin))
    }
}

/// One of the allowed origins.
#[derive(Clone, Debug)]
enum Pattern {
    Exactly(Origin),
    /// The same scheme and port, and a host with one or more labels before this one.
    Below(Site),
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let origin = Origin::parse(text)?;
        let Origin::Site(site) = &origin else {
            return Some(Self::Exactly(origin));
        };
        let Some((before, domain)) = site.host.split_once('*') else {
            return Some(Self::Exactly(origin));
        };
        let domain = domain.strip_prefix('.')?;
        let is_domain = before.is_empty() && !domain.contains('*') && has_labels(domain);
        is_domain.then(|| {
            Self::Below(Site {
                host: domain.to_owned(),
                ..site.clone()
            })
        })
    }

    fn matches(&self, origin: &Origin) -> bool {
        match (self, origin) {
            (Self::Exactly(allowed), origin) => allowed == origin,
            (Self::Below(domain), Origin::Site(site)) => {
                let host = site.host.strip_suffix(&domain.host);
                let labels = host.and_then(|labels| labels.strip_suffix('.'));
                labels.is_some_and(has_labels)
                    && site.scheme == domain.scheme
                    && site.port == domain.port
            }
            (Self::Below(_), Origin::Null | Origin::File) => false,
        }
    }
}

/// Returns whether no label of a name is empty.
fn has_labels(name: &str) -> bool {
    !name.split('.').any(str::is_empty)
}

#[cfg(test)]
mod tests {
    use super::{Origin, Pattern, Site};

    #[test]
    fn scheme_host_and_port_make_an_origin() {
        let same = |a, b| Site::parse(a).unwrap() == Site::parse(b).unwrap();
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
            "NULL",
            "*",
            "a.example",
            "//a.example",
            "file:///",
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
            "https://[zz]",
            "https://a%zz",
            "ht tp://a",
        ] {
            assert_eq!(Origin::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_pattern_has_its_star_at_the_front_of_a_domain() {
        for text in [
            "*",
            "*.example",
            "https://*",
            "https://*.",
            "https://*..example",
            "https://*.example.",
            "https://*.*.example",
            "https://a.*.example",
            "https://a*.example",
            "https://*a.example",
            "https://*.[::1]",
            "https://*.example:*",
            "*://a.example",
        ] {
            assert!(Pattern::parse(text).is_none(), "{text:?}");
        }
    }
}
