//! The request line, and the head of a request (RFC 9112, section 3).

use http::{Method, Request};

use super::{
    HeadError, MAX_HEADERS, check, headers,
    start_line::{StartLine, Version, http_version},
    target,
};
use crate::handshake::tokens::is_token_byte;

/// The scanner of a request line.
#[derive(Clone, Copy, Default)]
pub(crate) struct RequestHead {
    state: State,
    /// Where the line starts.
    start: usize,
    /// Where the target starts.
    target: usize,
}

/// What the next byte is a part of, or what it has to be.
#[derive(Clone, Copy, Default)]
enum State {
    /// The line, or an empty line before it, which is skipped (RFC 9112, section 2.2).
    #[default]
    Start,
    /// The LF of an empty line before it.
    StartLf,
    Method,
    Target,
    Version(Version),
    /// The end of the line.
    End,
    /// The LF at its end.
    EndLf,
}

impl StartLine for RequestHead {
    type Message = Request<()>;

    fn step(mut self, at: usize, bytes: &[u8]) -> Result<Option<Self>, HeadError> {
        let byte = bytes[at];
        self.state = match (self.state, byte) {
            (State::Start, b'\r') => State::StartLf,
            (State::Start | State::StartLf, b'\n') => State::Start,
            (State::Start, _) if is_token_byte(byte) => {
                self.start = at;
                State::Method
            }
            (State::Method, b' ') => {
                self.target = at + 1;
                State::Target
            }
            (State::Method, _) if is_token_byte(byte) => State::Method,
            (State::Target, b' ') if self.is_target(&bytes[..at]) => {
                State::Version(Version::default())
            }
            // No target has a fragment (RFC 9112, section 3.2), and no URI a `<` or `>` (RFC 3986,
            // section 2).
            (State::Target, b'!'..=b'~') if !b"#<>".contains(&byte) => State::Target,
            (State::Version(version), _) => version.step(byte)?.map_or(State::End, State::Version),
            (State::End, b'\r') => State::EndLf,
            (State::End | State::EndLf, b'\n') => return Ok(None),
            _ => return Err(HeadError::Malformed),
        };
        Ok(Some(self))
    }

    fn parse(head: &[u8]) -> Result<Request<()>, HeadError> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut lines);
        check(parsed.parse(head))?;
        request(&parsed).ok_or(HeadError::Malformed)
    }
}

impl RequestHead {
    /// Returns whether the target, which ends with `bytes`, is one that the method allows.
    fn is_target(&self, bytes: &[u8]) -> bool {
        let method = Method::from_bytes(&bytes[self.start..self.target - 1]);
        let target = std::str::from_utf8(&bytes[self.target..]);
        match (method, target) {
            (Ok(method), Ok(text)) => target::parse(&method, text).is_some(),
            _ => false,
        }
    }
}

/// Converts httparse's view into a request. Returns `None` if a part of it is not valid.
fn request(parsed: &httparse::Request<'_, '_>) -> Option<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    *request.uri_mut() = target::parse(request.method(), parsed.path?)?;
    *request.version_mut() = http_version(parsed.version?);
    *request.headers_mut() = headers(parsed.headers)?;
    Some(request)
}
