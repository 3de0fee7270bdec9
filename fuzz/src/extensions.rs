//! `Sec-WebSocket-Extensions` as RFC 6455, section 9.1, and RFC 7692, section 7.1, have it: the
//! reference for what the crate reads and writes.

/// An element of the list: a name, and parameters.
pub type Extension = (Vec<u8>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// The parameters of permessage-deflate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The server takes nothing over.
    pub server_no_context_takeover: bool,
    /// The client takes nothing over.
    pub client_no_context_takeover: bool,
    /// The window of the server.
    pub server_max_window_bits: Option<u8>,
    /// The window of the client; in an offer it may have no value.
    pub client_max_window_bits: Option<Option<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Lexeme {
    Token(Vec<u8>),
    Quoted(Vec<u8>),
    Separator(u8),
}

/// Reads the list; `None` if a line does not match the ABNF, or all of them together have no
/// element.
#[must_use]
pub fn list<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<Extension>> {
    let mut all = Vec::new();
    for line in lines {
        let lexemes = lex(line)?;
        for element in lexemes.split(|it| *it == Lexeme::Separator(b',')) {
            if !element.is_empty() {
                all.push(extension(element)?);
            }
        }
    }
    (!all.is_empty()).then_some(all)
}

fn lex(mut line: &[u8]) -> Option<Vec<Lexeme>> {
    let mut lexemes = Vec::new();
    while let [first, rest @ ..] = line {
        line = rest;
        lexemes.push(match first {
            b' ' | b'\t' => continue,
            b',' | b';' | b'=' => Lexeme::Separator(*first),
            b'"' => {
                let mut value = Vec::new();
                loop {
                    let [next, rest @ ..] = line else { return None };
                    line = rest;
                    match next {
                        b'"' => break,
                        b'\\' => {
                            let [escaped, rest @ ..] = line else {
                                return None;
                            };
                            line = rest;
                            value.push(*escaped);
                        }
                        _ => value.push(*next),
                    }
                }
                Lexeme::Quoted(value)
            }
            byte if is_token(*byte) => {
                let length = rest.iter().take_while(|byte| is_token(**byte)).count();
                line = &rest[length..];
                Lexeme::Token([&[*byte], &rest[..length]].concat())
            }
            _ => return None,
        });
    }
    Some(lexemes)
}

/// Every character but controls, space and separators (RFC 2616, section 2.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte)
}

fn extension(element: &[Lexeme]) -> Option<Extension> {
    let mut parts = element.split(|it| *it == Lexeme::Separator(b';'));
    let [Lexeme::Token(name)] = parts.next()? else {
        return None;
    };
    let parameters = parts.map(|part| match part {
        [Lexeme::Token(name)] => Some((name.clone(), None)),
        [
            Lexeme::Token(name),
            Lexeme::Separator(b'='),
            Lexeme::Token(value) | Lexeme::Quoted(value),
        ] if !value.is_empty() && value.iter().all(|byte| is_token(*byte)) => {
            Some((name.clone(), Some(value.clone())))
        }
        _ => None,
    });
    Some((name.clone(), parameters.collect::<Option<_>>()?))
}

/// Reads the parameters of permessage-deflate; `None` if it is another extension, or one of them is
/// not allowed.
#[must_use]
pub fn parameters((name, parameters): &Extension) -> Option<Parameters> {
    if name != b"permessage-deflate" {
        return None;
    }
    let mut names: Vec<_> = parameters.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    if names.len() < parameters.len() {
        return None;
    }
    let mut read = Parameters::default();
    for (name, value) in parameters {
        let bits = value.as_ref().map(|value| bits(value));
        match (&name[..], bits) {
            (b"server_no_context_takeover", None) => read.server_no_context_takeover = true,
            (b"client_no_context_takeover", None) => read.client_no_context_takeover = true,
            (b"server_max_window_bits", Some(Some(bits))) => {
                read.server_max_window_bits = Some(bits);
            }
            (b"client_max_window_bits", None) => read.client_max_window_bits = Some(None),
            (b"client_max_window_bits", Some(Some(bits))) => {
                read.client_max_window_bits = Some(Some(bits));
            }
            _ => return None,
        }
    }
    Some(read)
}

fn bits(value: &[u8]) -> Option<u8> {
    let all = ["8", "9", "10", "11", "12", "13", "14", "15"];
    let at = all.iter().position(|bits| bits.as_bytes() == value)?;
    u8::try_from(8 + at).ok()
}
