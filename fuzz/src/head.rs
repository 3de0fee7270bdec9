//! Heads of requests and of answers, and what has to be true of them.

use arbitrary::Arbitrary;

use crate::wire::Payload;

/// The lines of a valid request.
const LINES: [&str; 6] = [
    "GET /chat HTTP/1.1",
    "Host: example.org",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

/// Lines that do no harm.
const HARMLESS: [&str; 8] = [
    "Cookie: a=b; c=d",
    "Origin: https://example.org",
    "Sec-WebSocket-Protocol: chat, superchat",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    "Connection: keep-alive",
    "Upgrade: h2c , foo/2",
    "Content-Length: 0",
    "X-Empty:",
];

/// Lines that do harm, most of them, with what is there already.
const HARMFUL: [&str; 13] = [
    "POST / HTTP/1.1",
    "GET http://example.org/ HTTP/1.0",
    "Host: a@b",
    "Host: example.org:80",
    "Upgrade: \"websocket\"",
    "Connection: notupgrade",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version: 8, 13",
    "Sec-WebSocket-Protocol: a, a",
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "Sec-WebSocket-Extensions: a; b=\"c",
    " folded",
];

/// A change to a valid request.
#[derive(Arbitrary, Debug)]
pub enum Change {
    /// A line more that does no harm.
    Harmless(u8),
    /// A line more.
    Harmful(u8),
    /// An arbitrary line more.
    Insert(u8, Payload),
    /// A line less.
    Remove(u8),
    /// Another line in its place.
    Replace(u8, u8),
    /// Other bytes in the place of one.
    Splice(u16, Vec<u8>),
    /// A line in capitals.
    Capitals(u8),
    /// Ends of lines without `CR`.
    Bare,
    /// An empty line before the request.
    Empty,
}

impl Change {
    /// The request is valid with it.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        matches!(self, Self::Harmless(_) | Self::Empty)
    }
}

/// Makes a request of a valid one.
#[must_use]
pub fn request(changes: &[Change]) -> Vec<u8> {
    let lines = LINES.map(|line| line.as_bytes().to_vec()).to_vec();
    change(lines, &HARMLESS, &HARMFUL, changes)
}

/// Changes a head that has these lines. Of the harmless ones none is added twice.
#[must_use]
pub fn change(
    mut lines: Vec<Vec<u8>>,
    harmless: &[&str],
    harmful: &[&str],
    changes: &[Change],
) -> Vec<u8> {
    let mut end = "\r\n";
    let mut splices = Vec::new();
    let mut before = Vec::new();
    let at = |index: u8, lines: &[Vec<u8>]| usize::from(index) % lines.len().max(1);
    let pick = |index: u8| harmful[usize::from(index) % harmful.len()].into();
    // A list of more protocols would repeat them, and more lines than the limit do harm.
    let mut added = vec![false; harmless.len()];
    for change in changes {
        match change {
            Change::Harmless(index) => {
                let index = usize::from(*index) % harmless.len();
                if !std::mem::replace(&mut added[index], true) {
                    lines.push(harmless[index].into());
                }
            }
            Change::Harmful(index) => lines.push(pick(*index)),
            Change::Insert(index, payload) => {
                let index = at(*index, &lines);
                lines.insert(index, payload.bytes());
            }
            Change::Remove(index) if !lines.is_empty() => {
                lines.remove(at(*index, &lines));
            }
            Change::Replace(index, by) if !lines.is_empty() => {
                let index = at(*index, &lines);
                lines[index] = pick(*by);
            }
            Change::Splice(index, bytes) => splices.push((*index, bytes)),
            Change::Capitals(index) if !lines.is_empty() => {
                let index = at(*index, &lines);
                lines[index].make_ascii_uppercase();
            }
            Change::Bare => end = "\n",
            Change::Empty => before.extend(b"\r\n"),
            Change::Remove(_) | Change::Replace(..) | Change::Capitals(_) => {}
        }
    }
    let mut bytes = before;
    for line in lines {
        bytes.extend(line);
        bytes.extend(end.as_bytes());
    }
    bytes.extend(end.as_bytes());
    for (index, with) in splices {
        if bytes.is_empty() {
            break;
        }
        let index = usize::from(index) % bytes.len();
        bytes.splice(index..=index, with.iter().copied());
    }
    bytes
}

/// A head, taken apart at ends of lines and colons.
#[derive(Debug)]
pub struct Head {
    first: String,
    /// Names in small letters, and values without the space around them.
    fields: Vec<(String, String)>,
}

/// Takes a head apart; `None` if it does not end.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Head> {
    // Every byte is a character, so that none is lost.
    let text: String = bytes.iter().copied().map(char::from).collect();
    let mut lines = text
        .split_inclusive('\n')
        .map(|line| line.strip_suffix('\n'))
        .map(|line| line.map(|line| line.strip_suffix('\r').unwrap_or(line)))
        .skip_while(|line| *line == Some(""));
    let first = lines.next()??.to_owned();
    let mut fields = Vec::new();
    loop {
        match lines.next()?? {
            "" => return Some(Head { first, fields }),
            line => {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.trim_matches([' ', '\t']);
                fields.push((name.to_ascii_lowercase(), value.to_owned()));
            }
        }
    }
}

impl Head {
    /// Checks what RFC 6455, section 4.2.1, and HTTP ask of a request.
    pub fn check(&self) {
        let parts: Vec<&str> = self.first.split(' ').collect();
        assert_eq!(parts.len(), 3, "{self:?}");
        assert_eq!((parts[0], parts[2]), ("GET", "HTTP/1.1"), "{self:?}");
        // The target of a GET (RFC 9112, section 3.2).
        assert!(
            parts[1].starts_with('/') || parts[1].contains("://"),
            "{self:?}"
        );
        assert!(parts[1].is_ascii() && !parts[1].contains('#'), "{self:?}");
        let host = self.one("host").expect("one Host");
        // A name may have a comma in it (RFC 3986, section 3.2.2).
        assert!(
            !host.is_empty() && !host.contains(['@', '/', ' ']),
            "{self:?}"
        );
        assert!(self.has("upgrade", "websocket"), "{self:?}");
        assert!(self.has("connection", "upgrade"), "{self:?}");
        assert_eq!(self.one("sec-websocket-version"), Some("13"), "{self:?}");
        let key = self.one("sec-websocket-key").expect("one key");
        assert!(is_key(key), "{self:?}");
        let lengths = self.all("content-length");
        assert!(
            lengths
                .iter()
                .all(|length| length.trim_matches('0').is_empty())
        );
        assert!(self.all("transfer-encoding").is_empty(), "{self:?}");
        let mut protocols = self.members("sec-websocket-protocol");
        assert!(protocols.iter().all(|name| is_token(name)), "{self:?}");
        protocols.sort_unstable();
        let all = protocols.len();
        protocols.dedup();
        assert_eq!(all, protocols.len(), "{self:?}");
    }

    /// The value of a field that is there once.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// How many fields there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.fields.len()
    }

    /// The first line.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.first
    }

    /// The values of all fields of this name.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter();
        let named = fields.filter(|field| field.0 == name);
        named.map(|field| field.1.as_str()).collect()
    }

    /// The members of a list.
    #[must_use]
    pub fn members(&self, name: &str) -> Vec<&str> {
        let all = self.all(name).into_iter();
        all.flat_map(|value| value.split(','))
            .map(|member| member.trim_matches([' ', '\t']))
            .filter(|member| !member.is_empty())
            .collect()
    }

    /// Tells whether a list has this member.
    #[must_use]
    pub fn has(&self, name: &str, token: &str) -> bool {
        let members = self.members(name);
        members
            .iter()
            .any(|member| member.eq_ignore_ascii_case(token))
    }
}

/// 16 bytes in base64: 22 digits, of which the last has four bits of nothing, and two signs.
fn is_key(key: &str) -> bool {
    let Some(digits) = key.strip_suffix("==") else {
        return false;
    };
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.len() == 22 && digits.bytes().all(is_digit) && digits.ends_with(['A', 'Q', 'g', 'w'])
}

/// Tells whether a text is a token (RFC 9110, section 5.6.2).
#[must_use]
pub fn is_token(text: &str) -> bool {
    let is_letter = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
    !text.is_empty() && text.chars().all(is_letter)
}

/// Checks the answer that switches protocols (section 4.2.2).
pub fn check_switching(output: &[u8], accept: &str) {
    let head = parse(output).expect("the answer is complete");
    assert!(head.first.starts_with("HTTP/1.1 101 "), "{head:?}");
    assert!(output.ends_with(b"\r\n\r\n"), "nothing follows the head");
    assert!(head.has("upgrade", "websocket"), "{head:?}");
    assert!(head.has("connection", "upgrade"), "{head:?}");
    assert_eq!(head.one("sec-websocket-accept"), Some(accept));
    assert!(head.all("content-length").is_empty(), "{head:?}");
    assert!(head.all("sec-websocket-extensions").is_empty(), "{head:?}");
}

/// Checks the answer that refuses, and returns its status.
#[must_use]
pub fn check_refusal(output: &[u8], is_head: bool) -> u16 {
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut lines);
    let parsed = response.parse(output).expect("the answer is HTTP/1.1");
    let body = &output[parsed.unwrap()..];
    let head = parse(output).expect("the answer is complete");
    assert!(head.first.starts_with("HTTP/1.1 "), "{head:?}");
    let status = response.code.expect("the answer has a status");
    assert!((400..=599).contains(&status), "{head:?}");
    assert!(head.has("connection", "close"), "{head:?}");
    let length = head
        .one("content-length")
        .and_then(|text| text.parse().ok());
    assert!(
        is_head && body.is_empty() || length == Some(body.len()),
        "{head:?}"
    );
    // RFC 9110, sections 15.5.6 and 15.5.22; RFC 6455, section 4.4.
    match status {
        405 => assert!(head.has("allow", "GET"), "{head:?}"),
        426 => assert!(head.has("upgrade", "websocket"), "{head:?}"),
        _ => {}
    }
    status
}
