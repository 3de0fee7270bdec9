//! `Sec-WebSocket-Extensions`: the extensions that a client offers (RFC 6455, section 9.1).

use http::{HeaderMap, header::SEC_WEBSOCKET_EXTENSIONS};

use super::{Rejection, tokens::is_token_byte};

/// Checks that all lines of the header together match the ABNF of RFC 6455, section 9.1.
///
/// A well-formed offer is declined: this crate supports no extension, and an extension that the
/// answer does not name is not in use.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Rejection> {
    let lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS);
    // Several lines are one list. No quoted string can span two of them, because no value has a
    // comma.
    let mut offers = 0;
    for line in lines {
        let mut rest = Rest(line.as_bytes());
        offers += rest.offers().ok_or(Rejection::ExtensionsHeader)?;
    }
    if offers == 0 && headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(Rejection::ExtensionsHeader);
    }
    Ok(())
}

/// The part of a line that is not parsed yet. Each parser returns `None` if the line is malformed.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Parses a whole line, and returns how many extensions it offers. A list may have empty
    /// members (RFC 9110, section 5.6.1.2).
    fn offers(&mut self) -> Option<usize> {
        let mut offers = 0;
        loop {
            self.space();
            if !matches!(self.0, [] | [b',', ..]) {
                self.offer()?;
                offers += 1;
            }
            if self.0.is_empty() {
                return Some(offers);
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    /// `extension-token *( ";" extension-param )`
    fn offer(&mut self) -> Option<()> {
        self.token()?;
        while self.take(b';') {
            self.token()?;
            if self.take(b'=') {
                self.value()?;
            }
        }
        Some(())
    }

    /// A token, or a quoted string that is a token after unescaping.
    fn value(&mut self) -> Option<()> {
        if !self.take(b'"') {
            return self.token();
        }
        let mut length = 0;
        while !matches!(self.0, [b'"', ..]) {
            let (escape, rest) = match self.0 {
                [b'\\', rest @ ..] => (1, rest),
                rest => (0, rest),
            };
            rest.first().filter(|&&byte| is_token_byte(byte))?;
            self.0 = &self.0[escape + 1..];
            length += 1;
        }
        self.0 = &self.0[1..];
        self.space();
        (length > 0).then_some(())
    }

    fn token(&mut self) -> Option<()> {
        let inside = self.0.iter().take_while(|byte| is_token_byte(**byte));
        let length = inside.count();
        self.0 = &self.0[length..];
        self.space();
        (length > 0).then_some(())
    }

    /// Consumes a separator and the space after it.
    fn take(&mut self, separator: u8) -> bool {
        let Some((_, rest)) = self
            .0
            .split_first()
            .filter(|(first, _)| **first == separator)
        else {
            return false;
        };
        self.0 = rest;
        // Space inside a quoted string belongs to the string.
        if separator != b'"' {
            self.space();
        }
        true
    }

    /// Consumes space. RFC 6455 takes its ABNF from RFC 2616, whose section 2.1 allows space around
    /// separators.
    fn space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};

    use super::check;

    fn is_well_formed(lines: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(line));
        }
        check(&headers).is_ok()
    }

    #[test]
    fn offers_of_the_abnf_are_well_formed() {
        for lines in [
            &[][..],
            &["x"],
            &["x, y"],
            &["x", "y;a"],
            &["", "x"],
            &[",, \t,x,,"],
            &["x;a;b=1;c=\"2\""],
            &["x \t; a = 1 ; b = \"2\" , y"],
            &["x; a=\"\\1\\2\""],
            &["permessage-deflate; client_max_window_bits, permessage-deflate"],
            &["foo, bar; baz=2"],
        ] {
            assert!(is_well_formed(lines), "{lines:?}");
        }
    }

    #[test]
    fn whatever_else_is_malformed() {
        for line in [
            "",
            " ",
            ",, ,",
            ";",
            "=",
            "x;",
            "x; ;a",
            "x;=1",
            "x;a=",
            "x;a=,y",
            "x;a=1=2",
            "x=1",
            "x y",
            "x;a b",
            "x;a=1 2",
            "\"x\"",
            "x;\"a\"",
            "x;a=\"",
            "x;a=\"1",
            "x;a=\"1\\",
            "x;a=\"1\\\"",
            "x;a=\"\"",
            "x;a=\"1 2\"",
            "x;a=\" 1\"",
            "x;a=\"1,2\"",
            "x;a=\"1\\\"2\"",
            "x;a=\"1\"2",
            "x/y",
            "x;a=(1)",
            "=;,\"",
        ] {
            assert!(!is_well_formed(&[line]), "{line:?}");
            // If there is another line, an empty line is an empty member.
            let is_empty = line.trim_matches([',', ' ']).is_empty();
            assert_eq!(is_well_formed(&["x", line]), is_empty, "{line:?}");
        }
        assert!(!is_well_formed(&["x;a=\"1", "2\""]));
    }
}
