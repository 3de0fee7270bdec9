//! The target of a request, for heads that this crate reads itself (RFC 9112, section 3.2).

use http::{Method, Uri};

use crate::handshake::host::host_and_port;

/// Parses a target. Returns `None` if it is not a URI, or has a form that its method does not
/// allow.
pub(super) fn parse(method: &Method, text: &str) -> Option<Uri> {
    // A URI is ASCII (RFC 3986, section 2), and a target has no fragment. `Uri` would drop one.
    if !text.is_ascii() || text.contains('#') {
        return None;
    }
    let uri: Uri = text.parse().ok()?;
    let is_allowed = match (uri.scheme(), uri.authority()) {
        // absolute-form
        (Some(_), authority) => authority.is_some_and(|it| host_and_port(it.as_str()).is_some()),
        // authority-form, which needs a port (RFC 9112, section 3.2.3)
        (None, Some(authority)) => {
            let port = host_and_port(authority.as_str()).and_then(|(_, port)| port);
            method == Method::CONNECT && port.is_some_and(|port| !port.is_empty())
        }
        // asterisk-form; a client of HTTP/2 starts with PRI, and its version is refused next
        (None, None) if text == "*" => method == Method::OPTIONS || method.as_str() == "PRI",
        // origin-form
        (None, None) => text.starts_with('/'),
    };
    is_allowed.then_some(uri)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::parse;

    #[test]
    fn each_method_has_its_forms() {
        for (method, target, is_valid) in [
            (Method::GET, "/", true),
            (Method::GET, "//a", true),
            (Method::GET, "/a?b=/c?d", true),
            (Method::GET, "http://a", true),
            (Method::GET, "https://a:80/b?c", true),
            (Method::GET, "http://[::1]/", true),
            (Method::GET, "*", false),
            (Method::GET, "a", false),
            (Method::GET, "a:80", false),
            (Method::GET, "a/b", false),
            (Method::GET, "?a", false),
            (Method::GET, "/a#b", false),
            (Method::GET, "http://a/#b", false),
            (Method::GET, "/\u{e4}", false),
            (Method::GET, "/<", false),
            (Method::GET, "http:///a", false),
            (Method::GET, "http://me@a/", false),
            (Method::GET, "http://[zz]/", false),
            (Method::GET, "http://a%zz/", false),
            (Method::OPTIONS, "*", true),
            (Method::OPTIONS, "/", true),
            (Method::OPTIONS, "a:80", false),
            (Method::CONNECT, "a:80", true),
            (Method::CONNECT, "a", false),
            (Method::CONNECT, "a:", false),
            (Method::CONNECT, "[zz]:80", false),
            (Method::CONNECT, "*", false),
        ] {
            assert_eq!(
                parse(&method, target).is_some(),
                is_valid,
                "{method} {target:?}"
            );
        }
    }
}
