//! Answers of a server, and a slow model of what a client has to make of them.

use arbitrary::Arbitrary;

use crate::{
    head::{self, Change, Head},
    wire::{Payload, Sent},
};

/// The largest head and the most lines that the crate says it takes.
const MAX_HEAD: usize = 64 * 1024;
const MAX_LINES: usize = 128;

/// How many interim responses it takes, and how much of a body it keeps.
const MAX_INTERIM: usize = 8;
const MAX_BODY: usize = 16 * 1024;

/// The longest line of a chunk that it takes.
const MAX_CHUNK_LINE: usize = 256;

/// The subprotocols that are offered.
pub const PROTOCOLS: [&str; 2] = ["chat", "superchat"];

/// Lines that do no harm to a 101.
const HARMLESS: [&str; 6] = [
    "Server: example",
    "Set-Cookie: a=b; c=d",
    "Connection: keep-alive",
    "Content-Length: 0",
    "X-Empty:",
    "X-Latin: \u{e4}",
];

/// Lines that do harm to a 101, most of them, or say how a body is delimited.
const HARMFUL: [&str; 24] = [
    "HTTP/1.0 101 Switching Protocols",
    "HTTP/1.1 099 Early",
    "HTTP/2 101",
    "HTTP/1.1 103 Early Hints",
    "HTTP/1.1 403",
    "Upgrade: h2c",
    "Upgrade: websocket",
    "Connection: notupgrade",
    "Connection: \"a, upgrade\"",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "Sec-WebSocket-Protocol: chat",
    "Sec-WebSocket-Protocol: Chat",
    "Sec-WebSocket-Protocol: chat, superchat",
    "Sec-WebSocket-Extensions: permessage-deflate",
    "Sec-WebSocket-Extensions:",
    "Content-Length: 5",
    "Content-Length: 00000000000000000000099999",
    "Content-Length: +5",
    "Content-Length: 18446744073709551616",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, Chunked",
    "Transfer-Encoding: chunked, gzip",
    " folded",
    "a b: c",
];

/// A head of a server.
#[derive(Arbitrary, Debug)]
pub enum ServerHead {
    /// Any bytes.
    Raw(Payload),
    /// One that switches protocols, changed.
    Switching(Vec<Change>),
    /// One with another status, and perhaps a body.
    Refusal(u16, Framing, Vec<Change>),
    /// A refusal with so many lines more than the limit.
    Lines(i8),
    /// A refusal that is so many bytes larger than the limit.
    Large(i8),
    /// An interim one, as often.
    Interim(u8, u8),
}

/// How a head says that a body is delimited.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Framing {
    /// Not at all.
    UntilClose,
    /// By its length.
    Length(u16),
    /// By its chunks.
    Chunked,
}

/// What comes after it.
#[derive(Arbitrary, Debug)]
pub enum Piece {
    /// Any bytes.
    Raw(Payload),
    /// A chunk of a body.
    Chunk(Payload, ChunkLine),
    /// The last chunk.
    LastChunk,
    /// A message.
    Frames(Sent),
}

/// How the line of a chunk is written.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum ChunkLine {
    /// Without any more.
    Plain,
    /// With so many zeros before the size.
    Zeros(u8),
    /// With spaces and an extension that is so long.
    Extension(u8),
    /// In capitals, and without a CR.
    Bare,
}

impl ServerHead {
    /// It is right for a client that accepts this.
    #[must_use]
    pub fn is_right(&self) -> bool {
        let Self::Switching(changes) = self else {
            return false;
        };
        let is_harmless = |change: &Change| matches!(change, Change::Harmless(_));
        changes.iter().all(is_harmless)
    }

    /// Writes the head behind `out`.
    pub fn encode(&self, accept: &str, out: &mut Vec<u8>) {
        let lines = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        match self {
            Self::Raw(payload) => out.extend(payload.bytes()),
            Self::Switching(changes) => {
                let accept = format!("Sec-WebSocket-Accept: {accept}");
                let lines = lines(&[
                    "HTTP/1.1 101 Switching Protocols",
                    "Upgrade: websocket",
                    "Connection: Upgrade",
                    &accept,
                ]);
                out.extend(head::change(lines, &HARMLESS, &HARMFUL, changes));
            }
            Self::Refusal(status, framing, changes) => {
                let status = format!("HTTP/1.1 {} Some Reason", status % 1000);
                let framing = match framing {
                    Framing::UntilClose => "Connection: close".to_owned(),
                    Framing::Length(length) => format!("Content-Length: {length}"),
                    Framing::Chunked => "Transfer-Encoding: chunked".to_owned(),
                };
                let lines = lines(&[&status, &framing]);
                out.extend(head::change(lines, &HARMLESS, &HARMFUL, changes));
            }
            Self::Lines(more) => {
                let lines = MAX_LINES.saturating_add_signed((more % 4).into());
                out.extend(b"HTTP/1.1 403\r\n");
                (0..lines).for_each(|_| out.extend(b"a:\n"));
                out.extend(b"\r\n");
            }
            Self::Large(more) => {
                let start = out.len();
                let end = start + MAX_HEAD.saturating_add_signed((more % 8).into());
                out.extend(b"HTTP/1.1 403\r\na:");
                out.resize(end - 4, b'a');
                out.extend(b"\r\n\r\n");
            }
            Self::Interim(status, times) => {
                let head = format!("HTTP/1.1 {}\r\nLink: a\r\n\r\n", 100 + status % 5);
                for _ in 0..times % 12 {
                    out.extend(head.as_bytes());
                }
            }
        }
    }
}

impl Piece {
    /// Writes the piece behind `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Raw(payload) => out.extend(payload.bytes()),
            Self::LastChunk => out.extend(b"0\r\n\r\n"),
            Self::Frames(sent) => sent.encode(false, out, &mut Vec::new()),
            Self::Chunk(payload, line) => {
                let payload = payload.bytes();
                let size = payload.len();
                let line = match line {
                    ChunkLine::Plain => format!("{size:x}\r\n"),
                    ChunkLine::Zeros(count) => {
                        format!("{}{size:x}\r\n", "0".repeat(usize::from(count % 20)))
                    }
                    ChunkLine::Extension(length) => {
                        format!("{size:x} \t;{}\r\n", "e".repeat((*length).into()))
                    }
                    ChunkLine::Bare => format!("{size:X}\n"),
                };
                out.extend(line.into_bytes());
                out.extend(payload);
                out.extend(b"\r\n");
            }
        }
    }
}

/// What a client has to make of an answer.
#[derive(Debug)]
pub enum Verdict {
    /// It has to wait for more.
    Incomplete,
    /// The stream has ended too early.
    Ended,
    /// A head is wrong, or too large.
    WrongHead,
    /// There are too many interim responses.
    ManyInterim,
    /// A 101, right or wrong, and where the frames begin.
    Switching(Fields, usize),
    /// Another answer.
    Unexpected(Unexpected),
}

/// An answer that opens no socket.
#[derive(Debug)]
pub struct Unexpected {
    /// Its status and header lines.
    pub fields: Fields,
    /// What is kept of its body.
    pub body: Vec<u8>,
    /// Nothing more of it is wanted.
    pub is_complete: bool,
    /// How many bytes were needed to know.
    pub used: usize,
}

/// The parts of a head.
#[derive(Debug)]
pub struct Fields {
    /// The status.
    pub status: u16,
    /// The lines, as httparse has them.
    pub lines: Vec<(String, Vec<u8>)>,
    head: Head,
}

/// Judges an answer that has arrived completely.
#[must_use]
pub fn judge(bytes: &[u8], has_ended: bool) -> Verdict {
    let mut at = 0;
    for _ in 0..=MAX_INTERIM {
        let rest = &bytes[at..];
        let fields = match scan(rest) {
            Scanned::Partial if has_ended => return Verdict::Ended,
            Scanned::Partial => return Verdict::Incomplete,
            Scanned::Wrong => return Verdict::WrongHead,
            Scanned::Head(end) => {
                at += end;
                Fields::parse(&rest[..end])
            }
        };
        match fields.status {
            101 => return Verdict::Switching(fields, at),
            100..200 => {}
            _ => return Verdict::Unexpected(fields.unexpected(bytes, at)),
        }
    }
    Verdict::ManyInterim
}

enum Scanned {
    Partial,
    Wrong,
    /// It ends there.
    Head(usize),
}

/// Looks for the end of a head, line by line; the last line may be incomplete.
fn scan(bytes: &[u8]) -> Scanned {
    let mut end = 0;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        end += line.len();
        let whole = line.strip_suffix(b"\n");
        let text = whole.unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let has_cr = text.len() < whole.unwrap_or(line).len();
        let is_last = index > 0 && text.is_empty();
        let (is_valid, is_complete) = match index {
            0 => (is_status_line(text), text.len() >= 12),
            _ if is_last => (true, true),
            _ => (is_field(text), text.contains(&b':')),
        };
        // The 129th line is too much with its first byte.
        let is_too_much = end > MAX_HEAD || index > MAX_LINES && !is_last;
        if !is_valid || is_too_much || !is_complete && (whole.is_some() || has_cr) {
            return Scanned::Wrong;
        }
        if is_last && whole.is_some() {
            return Scanned::Head(end);
        }
    }
    Scanned::Partial
}

/// Tells whether a status line may begin like this.
fn is_status_line(text: &[u8]) -> bool {
    text.iter().enumerate().all(|(at, byte)| match at {
        0..=6 => *byte == b"HTTP/1."[at],
        7 => matches!(byte, b'0' | b'1'),
        8 | 12 => *byte == b' ',
        9 => matches!(byte, b'1'..=b'9'),
        10 | 11 => byte.is_ascii_digit(),
        _ => is_text(*byte),
    })
}

/// Tells whether a header line may begin like this.
fn is_field(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |byte| *byte == b':');
    let name = parts.next().unwrap_or_default();
    let value = parts.next().unwrap_or_default();
    let name = name.iter().copied().map(char::from).collect::<String>();
    head::is_token(&name) && value.iter().copied().all(is_text)
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (b' '..0x7f).contains(&byte) || byte > 0x7f
}

impl Fields {
    /// Takes a head apart that was found to be right: httparse has to find the same.
    fn parse(bytes: &[u8]) -> Self {
        let mut lines = [httparse::EMPTY_HEADER; MAX_LINES];
        let mut response = httparse::Response::new(&mut lines);
        let end = response.parse(bytes).expect("the head is right");
        assert_eq!(end, httparse::Status::Complete(bytes.len()));
        let lines = response.headers.iter();
        Self {
            status: response.code.expect("the head is complete"),
            lines: lines
                .map(|line| (line.name.to_ascii_lowercase(), line.value.to_vec()))
                .collect(),
            head: head::parse(bytes).expect("the head is complete"),
        }
    }

    /// Tells whether a 101 is right (RFC 6455, section 4.1), for a client that offers the
    /// [`PROTOCOLS`] or none.
    #[must_use]
    pub fn is_right(&self, accept: &str, offers: bool, requires: bool) -> bool {
        let head = &self.head;
        let upgrade = head.one("upgrade");
        let lengths = head.all("content-length");
        let is_zero = |length: &&str| !length.is_empty() && length.trim_matches('0').is_empty();
        let is_chosen = match head.all("sec-websocket-protocol")[..] {
            [] => !requires,
            [one] => offers && PROTOCOLS.contains(&one),
            _ => false,
        };
        let tokens = head.members("connection");
        let are_tokens = tokens
            .iter()
            .all(|member| member.split('/').all(head::is_token));
        head.first().starts_with("HTTP/1.1 ")
            && upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
            && head.has("connection", "upgrade")
            && are_tokens
            && head.one("sec-websocket-accept") == Some(accept)
            && head.all("sec-websocket-extensions").is_empty()
            && head.all("transfer-encoding").is_empty()
            && lengths.iter().all(is_zero)
            && is_chosen
    }

    /// Reads the body (RFC 9112, section 6.3), which begins there.
    fn unexpected(self, bytes: &[u8], at: usize) -> Unexpected {
        let head = &self.head;
        let codings = head.members("transfer-encoding");
        let length = head.one("content-length");
        let length = length
            .filter(|length| length.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|length| length.parse::<u64>().ok());
        let rest = &bytes[at..];
        let (body, used, is_complete) = if matches!(self.status, 204 | 304) {
            (Vec::new(), 0, true)
        } else if !head.all("transfer-encoding").is_empty() {
            let is_chunked = codings.last().map(|coding| coding.to_ascii_lowercase());
            if is_chunked.as_deref() == Some("chunked") {
                chunked(rest)
            } else {
                plain(rest, u64::MAX)
            }
        } else {
            plain(rest, length.unwrap_or(u64::MAX))
        };
        Unexpected {
            fields: self,
            body,
            is_complete,
            used: at + used,
        }
    }
}

/// Returns the body, how long it was on the wire, and whether it is complete.
fn plain(bytes: &[u8], length: u64) -> (Vec<u8>, usize, bool) {
    let most = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_BODY);
    let body = bytes[..bytes.len().min(most)].to_vec();
    let used = body.len();
    (body, used, used == most)
}

/// The same, for the chunked coding. Whatever is wrong is the end.
fn chunked(bytes: &[u8]) -> (Vec<u8>, usize, bool) {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Ok(line) = line(bytes, &mut at) else {
            return (body, at, true);
        };
        let Some(line) = line else {
            return (body, at, false);
        };
        let size = line.split([';', ' ', '\t']).next().unwrap_or_default();
        let after = line[size.len()..].trim_start_matches([' ', '\t']);
        let is_right = size.len() <= 16
            && size.bytes().all(|digit| digit.is_ascii_hexdigit())
            && (after.is_empty() || after.starts_with(';'))
            // Not even in an extension.
            && !after.contains('\r');
        let size = u64::from_str_radix(size, 16).ok().filter(|_| is_right);
        let Some(size @ 1..) = size else {
            return (body, at, true);
        };
        let (part, used, is_whole) = plain(&bytes[at..], size);
        let room = MAX_BODY - body.len();
        let part = &part[..part.len().min(room)];
        body.extend(part);
        at += used.min(room);
        let is_full = body.len() == MAX_BODY;
        if is_full || !is_whole {
            return (body, at, is_full);
        }
        match self::line(bytes, &mut at) {
            Ok(Some(line)) if line.is_empty() => {}
            Ok(None) => return (body, at, false),
            _ => return (body, at, true),
        }
    }
}

/// Takes a line, without its end; `None` if it is not there yet, and an error if it is too long or
/// has no CR.
fn line(bytes: &[u8], at: &mut usize) -> Result<Option<String>, ()> {
    let rest = &bytes[*at..];
    let end = rest.iter().position(|byte| *byte == b'\n');
    let length = end.map_or(rest.len(), |end| end + 1);
    *at += length.min(MAX_CHUNK_LINE + 1);
    if length > MAX_CHUNK_LINE {
        return Err(());
    }
    let Some(end) = end else {
        return Ok(None);
    };
    let line: String = rest[..end].iter().copied().map(char::from).collect();
    line.strip_suffix('\r')
        .map(|line| Some(line.to_owned()))
        .ok_or(())
}
