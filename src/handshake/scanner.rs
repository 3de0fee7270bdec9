//! Finds the end of a head, and rejects the head at the first byte that cannot be in one.

use http::Method;

use super::{HeadError, target, tokens::is_token_byte};

/// The maximum size of a head, in bytes; a longer one is refused. 64 KiB hold the largest cookies
/// that browsers send many times over.
const MAX_HEAD: usize = 64 * 1024;

/// The maximum number of header lines in a head.
pub(super) const MAX_HEADERS: usize = 128;

/// The end of a request line, without the minor version (RFC 9112, section 2.3).
const VERSION: &[u8] = b"HTTP/1.";

/// Scans the bytes of a head, each of them once.
///
/// A peer that speaks another protocol, such as TLS or SSH, may wait for an answer. It is refused
/// at once, and not at the deadline. A head that passes the [`Scanner`] is parsed once it is
/// complete.
#[derive(Default)]
pub(super) struct Scanner {
    state: State,
    /// How many bytes were scanned.
    at: usize,
    /// Where the request line starts.
    line: usize,
    /// Where the target starts.
    target: usize,
    /// How many header lines have started.
    headers: usize,
}

/// What the next byte is a part of, or what it has to be.
#[derive(Clone, Copy, Default)]
enum State {
    /// The request line, or an empty line before it, which is skipped (RFC 9112, section 2.2).
    #[default]
    Start,
    /// The LF of an empty line before the request line.
    StartLf,
    Method,
    Target,
    /// The version; this many of its bytes have arrived.
    Version(usize),
    /// The end of the request line.
    RequestEnd,
    /// The LF at the end of a line.
    LineLf,
    /// A header line, or the empty line after the last one.
    LineStart,
    /// The LF of the empty line after the last header line.
    EndLf,
    Name,
    Value,
    /// After the head.
    End,
}

impl Scanner {
    /// Continues to scan; `bytes` are all bytes that have arrived so far. Returns the length of the
    /// head once it is complete.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        while let Some(&byte) = bytes.get(self.at) {
            // The limit is for the head only, not for frames that arrive with it.
            if self.at == MAX_HEAD {
                return Err(HeadError::TooLarge);
            }
            self.state = self.step(byte, bytes)?;
            self.at += 1;
            if matches!(self.state, State::End) {
                return Ok(Some(self.at));
            }
        }
        Ok(None)
    }

    /// Returns the state after `byte`, which is the next one of `bytes`.
    fn step(&mut self, byte: u8, bytes: &[u8]) -> Result<State, HeadError> {
        Ok(match (self.state, byte) {
            (State::Start, b'\r') => State::StartLf,
            (State::Start | State::StartLf, b'\n') => State::Start,
            (State::Start, _) if is_token_byte(byte) => {
                self.line = self.at;
                State::Method
            }
            (State::Method, b' ') => {
                self.target = self.at + 1;
                State::Target
            }
            (State::Method, _) if is_token_byte(byte) => State::Method,
            (State::Target, b' ') if self.is_target(bytes) => State::Version(0),
            // No target has a fragment (RFC 9112, section 3.2), and no URI a `<` or `>` (RFC 3986,
            // section 2).
            (State::Target, b'!'..=b'~') if !b"#<>".contains(&byte) => State::Target,
            (State::Version(length), _) if VERSION.get(length) == Some(&byte) => {
                State::Version(length + 1)
            }
            (State::Version(5), b'0'..=b'9') => return Err(HeadError::Version),
            (State::Version(7), b'0' | b'1') => State::RequestEnd,
            (State::RequestEnd | State::Value, b'\r') => State::LineLf,
            (State::RequestEnd | State::Value | State::LineLf, b'\n') => State::LineStart,
            (State::LineStart, b'\r') => State::EndLf,
            (State::LineStart | State::EndLf, b'\n') => State::End,
            (State::LineStart, _) if is_token_byte(byte) => {
                self.headers += 1;
                if self.headers > MAX_HEADERS {
                    return Err(HeadError::TooManyHeaders);
                }
                State::Name
            }
            (State::Name, _) if is_token_byte(byte) => State::Name,
            // RFC 9110, section 5.5: no control bytes.
            (State::Name, b':') | (State::Value, b'\t' | b' '..=b'~' | 0x80..) => State::Value,
            _ => return Err(HeadError::Malformed),
        })
    }

    /// Returns whether the target, which ends here, is one that the method allows.
    fn is_target(&self, bytes: &[u8]) -> bool {
        let method = Method::from_bytes(&bytes[self.line..self.target - 1]);
        let target = std::str::from_utf8(&bytes[self.target..self.at]);
        match (method, target) {
            (Ok(method), Ok(text)) => target::parse(&method, text).is_some(),
            _ => false,
        }
    }
}
