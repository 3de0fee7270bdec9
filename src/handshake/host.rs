//! `host[:port]`, as in `Host`, in origins and in the target of a request (RFC 3986, section 3.2).

use std::net::Ipv6Addr;

/// Splits `host[:port]`. Returns `None` unless the host is valid and not empty (RFC 9110, section
/// 4.2.1), and the port, if any, has only digits.
///
/// User information is not allowed in an origin (RFC 6454) or in `Host` (RFC 9112, section 3.2). In
/// the target of a request it is an error (RFC 9110, section 4.2.4).
pub(super) fn host_and_port(text: &str) -> Option<(&str, Option<&str>)> {
    // An IP literal has its colons in brackets.
    let literal = text.starts_with('[').then(|| text.find(']')).flatten();
    let end = match literal {
        Some(bracket) => bracket + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(end);
    let port = match port {
        "" => None,
        port => Some(port.strip_prefix(':')?),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (is_host(host) && port.is_none_or(is_port)).then_some((host, port))
}

/// Returns whether a host is valid (RFC 3986, section 3.2.2): an IP literal in brackets, or a name.
/// An IPv4 address is also a name.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(literal) => literal
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok() || is_future(address)),
        None => !host.is_empty() && is_name(host.as_bytes()),
    }
}

/// `"v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )`: an address of a future IP version.
fn is_future(address: &str) -> bool {
    let Some((version, address)) = address
        .strip_prefix(['v', 'V'])
        .and_then(|it| it.split_once('.'))
    else {
        return false;
    };
    let is_part = |byte: u8| is_name_byte(byte) || byte == b':';
    !version.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !address.is_empty()
        && address.bytes().all(is_part)
}

/// `*( unreserved / pct-encoded / sub-delims )`
fn is_name(mut name: &[u8]) -> bool {
    loop {
        name = match name {
            [] => return true,
            [b'%', a, b, rest @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest,
            [byte, rest @ ..] if is_name_byte(*byte) => rest,
            _ => return false,
        };
    }
}

/// `unreserved / sub-delims` (RFC 3986, sections 2.2 and 2.3)
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn a_host_is_a_name_or_an_ip_literal() {
        for (text, parts) in [
            ("a", ("a", None)),
            ("a.example:80", ("a.example", Some("80"))),
            ("a.example:", ("a.example", Some(""))),
            ("a.example:99999", ("a.example", Some("99999"))),
            ("127.0.0.1", ("127.0.0.1", None)),
            ("a%20b", ("a%20b", None)),
            ("a,b;c=(d)", ("a,b;c=(d)", None)),
            ("x_y~z", ("x_y~z", None)),
            ("[::]", ("[::]", None)),
            ("[::1]:80", ("[::1]", Some("80"))),
            ("[1:2:3:4:5:6:7:8]", ("[1:2:3:4:5:6:7:8]", None)),
            ("[::FFFF:127.0.0.1]", ("[::FFFF:127.0.0.1]", None)),
            ("[v1F.a:b]:1", ("[v1F.a:b]", Some("1"))),
        ] {
            assert_eq!(host_and_port(text), Some(parts), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        let names =
            r#" :80 a:b a:80:80 a:+80 a/b a\b a?b a#b me@a a% a%2 a%zz a%2g a[b] a] a"b a<b a|b"#;
        let addresses = "::1 [ [] [::1 [::1]x [::1]80 [zz] [127.0.0.1] [::1%25eth0] [1:2:3] \
                         [1:2:3:4:5:6:7:8:9] [12345::] [::1:] [v.a] [v1.] [vg.a] [v1] [v1.a/b]";
        let others = ["a b", "\u{e4}", "a\u{7f}"];
        // The first of the names is empty.
        let all = names.split(' ').chain(addresses.split(' ')).chain(others);
        for text in all {
            assert_eq!(host_and_port(text), None, "{text:?}");
        }
    }
}
