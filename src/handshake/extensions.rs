//! `Sec-WebSocket-Extensions`: the list of extensions that an end offers or accepts (RFC 6455,
//! section 9.1).

use http::{HeaderMap, header::SEC_WEBSOCKET_EXTENSIONS};

use super::tokens::is_token_byte;

/// The header does not match its ABNF.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// One extension of the list, with its parameters.
pub(super) struct Extension<'a> {
    pub(super) name: &'a [u8],
    pub(super) parameters: Vec<Parameter<'a>>,
}

/// A parameter of an extension. A value is as it was written, without the quotes of a quoted
/// string.
#[derive(Clone, Copy)]
pub(super) struct Parameter<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
}

/// Calls `found` with each extension of the header, in order, over all its lines.
///
/// All lines together have to match the ABNF of RFC 6455, section 9.1.
pub(super) fn each(
    headers: &HeaderMap,
    mut found: impl FnMut(&Extension<'_>),
) -> Result<(), Malformed> {
    // Several lines are one list. No quoted string can span two of them, because no value has a
    // comma.
    let mut count = 0;
    for line in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        let mut count_and_pass = |extension: &Extension<'_>| {
            count += 1;
            found(extension);
        };
        let mut rest = Rest(line.as_bytes());
        rest.list(&mut count_and_pass).ok_or(Malformed)?;
    }
    if count == 0 && headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(Malformed);
    }
    Ok(())
}

/// The part of a line that is not parsed yet. Each parser returns `None` if the line is malformed.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Parses a whole line. A list may have empty members (RFC 9110, section 5.6.1.2).
    fn list(&mut self, found: &mut impl FnMut(&Extension<'a>)) -> Option<()> {
        loop {
            self.space();
            if !matches!(self.0, [] | [b',', ..]) {
                found(&self.extension()?);
            }
            if self.0.is_empty() {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    /// `extension-token *( ";" extension-param )`
    fn extension(&mut self) -> Option<Extension<'a>> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.take(b';') {
            let name = self.token()?;
            let value = if self.take(b'=') {
                Some(self.value()?)
            } else {
                None
            };
            parameters.push(Parameter { name, value });
        }
        Some(Extension { name, parameters })
    }

    /// A token, or a quoted string that is a token after unescaping.
    fn value(&mut self) -> Option<&'a [u8]> {
        if !self.take(b'"') {
            return self.token();
        }
        let whole = self.0;
        while !matches!(self.0, [b'"', ..]) {
            let (escape, rest) = match self.0 {
                [b'\\', rest @ ..] => (1, rest),
                rest => (0, rest),
            };
            rest.first().filter(|&&byte| is_token_byte(byte))?;
            self.0 = &self.0[escape + 1..];
        }
        let value = &whole[..whole.len() - self.0.len()];
        self.0 = &self.0[1..];
        self.space();
        (!value.is_empty()).then_some(value)
    }

    fn token(&mut self) -> Option<&'a [u8]> {
        let inside = self.0.iter().take_while(|byte| is_token_byte(**byte));
        let (token, rest) = self.0.split_at(inside.count());
        self.0 = rest;
        self.space();
        (!token.is_empty()).then_some(token)
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

    use super::each;

    fn is_well_formed(lines: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(line));
        }
        each(&headers, |_| {}).is_ok()
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
