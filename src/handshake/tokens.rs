//! Lists of tokens in header fields (RFC 9110, sections 5.6.1 and 5.6.2).

use http::{HeaderMap, HeaderName};

/// Returns the members of a list header: all its lines, split at commas, without surrounding spaces
/// and tabs, and without empty members.
pub(crate) fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// Returns whether a list of tokens contains `token` as a whole member, ASCII case-insensitively.
///
/// A list with a member that is not a token, such as a quoted string, contains nothing: the header
/// is malformed, and a comma in it does not separate members.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let mut found = false;
    for member in members(headers, name) {
        // A member of `Upgrade` may have a version after a slash (RFC 9110, section 7.8).
        if !member.split(|&byte| byte == b'/').all(is_token) {
            return false;
        }
        found |= member.eq_ignore_ascii_case(token.as_bytes());
    }
    found
}

/// Returns whether `bytes` is a token (RFC 9110, section 5.6.2): not empty, and without separators.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// Returns whether `byte` may be in a token.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Strips optional white space (RFC 9110, section 5.6.3): only spaces and tabs.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::CONNECTION};

    use super::{has_token, is_token};

    fn holds_upgrade(lines: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CONNECTION, HeaderValue::from_static(line));
        }
        has_token(&headers, &CONNECTION, "upgrade")
    }

    #[test]
    fn a_token_is_found_in_any_line_and_case() {
        for lines in [
            &["Upgrade"][..],
            &["keep-alive, UPGRADE"],
            &["keep-alive", "upgrade"],
            &[",, \tupgrade\t ,"],
            &["upgrade,keep-alive"],
        ] {
            assert!(holds_upgrade(lines), "{lines:?}");
        }
    }

    #[test]
    fn no_part_of_a_token_counts() {
        for lines in [
            &[][..],
            &[""],
            &["notupgrade"],
            &["upgrades"],
            &["keep-alive upgrade"],
            &["\"upgrade\""],
            &["\"a, upgrade, b\""],
            &["upgrade;q=1"],
            &["upgrade, a b"],
        ] {
            assert!(!holds_upgrade(lines), "{lines:?}");
        }
    }

    #[test]
    fn tokens() {
        assert!(is_token(b"graphql-ws"));
        assert!(is_token(b"v1.x!#$%&'*+-.^_`|~"));
        for bytes in [
            &b""[..],
            b"a b",
            b"a,b",
            b"a/b",
            b"a=b",
            b"\"a\"",
            b"\xc3\xa4",
            b"a\x7f",
        ] {
            assert!(!is_token(bytes), "{bytes:?}");
        }
    }
}
