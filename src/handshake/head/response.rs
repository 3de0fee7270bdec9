//! The status line, and the head of a response (RFC 9112, section 4).

use http::{Response, StatusCode};

use super::{
    HeadError, MAX_HEADERS, check, headers,
    start_line::{StartLine, Version, http_version},
};

/// The scanner of a status line.
#[derive(Clone, Copy, Default)]
pub(crate) struct ResponseHead(State);

/// What the next byte is a part of, or what it has to be.
#[derive(Clone, Copy)]
enum State {
    Version(Version),
    /// The space after the version.
    Space,
    /// The status; this many of its digits have arrived.
    Status(usize),
    /// The space after the status, or the end of the line: some servers send neither a reason nor
    /// that space.
    AfterStatus,
    Reason,
    /// The LF at the end of the line.
    EndLf,
}

impl Default for State {
    fn default() -> Self {
        Self::Version(Version::default())
    }
}

impl StartLine for ResponseHead {
    type Message = Response<()>;

    fn step(self, at: usize, bytes: &[u8]) -> Result<Option<Self>, HeadError> {
        let byte = bytes[at];
        Ok(Some(Self(match (self.0, byte) {
            (State::Version(version), _) => {
                version.step(byte)?.map_or(State::Space, State::Version)
            }
            (State::Space, b' ') => State::Status(0),
            // RFC 9110, section 15: from 100 on.
            (State::Status(0), b'1'..=b'9') => State::Status(1),
            (State::Status(1), b'0'..=b'9') => State::Status(2),
            (State::Status(2), b'0'..=b'9') => State::AfterStatus,
            (State::AfterStatus | State::Reason, b'\r') => State::EndLf,
            (State::AfterStatus | State::Reason | State::EndLf, b'\n') => return Ok(None),
            (State::AfterStatus, b' ') | (State::Reason, b'\t' | b' '..=b'~' | 0x80..) => {
                State::Reason
            }
            _ => return Err(HeadError::Malformed),
        })))
    }

    fn parse(head: &[u8]) -> Result<Response<()>, HeadError> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut lines);
        check(parsed.parse(head))?;
        response(&parsed).ok_or(HeadError::Malformed)
    }
}

/// Converts httparse's view into a response. Returns `None` if a part of it is not valid.
fn response(parsed: &httparse::Response<'_, '_>) -> Option<Response<()>> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(parsed.code?).ok()?;
    *response.version_mut() = http_version(parsed.version?);
    *response.headers_mut() = headers(parsed.headers)?;
    Some(response)
}
