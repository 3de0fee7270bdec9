//! The heads of HTTP/1 messages, for streams that this crate reads itself: the request that a
//! server reads, and the response that a client reads.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

pub(crate) use self::request::RequestHead;
#[cfg(feature = "client")]
pub(crate) use self::response::ResponseHead;
use self::{scanner::Scanner, start_line::StartLine};

mod request;
#[cfg(feature = "client")]
mod response;
mod scanner;
mod start_line;
mod target;

/// The maximum size of a head, in bytes; a longer one is refused. 64 KiB hold the largest cookies
/// that browsers send many times over.
const MAX_HEAD: usize = 64 * 1024;

/// The maximum number of header lines in a head.
const MAX_HEADERS: usize = 128;

/// Why the head of a request or of a response could not be read.
///
/// A server refuses such a request with a status of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The bytes are not HTTP/1: 400.
    #[error("the head is not valid HTTP/1")]
    Malformed,
    /// The head has another major version than HTTP/1 (RFC 9110, section 15.6.6): 505.
    #[error("the head is of another major version than HTTP/1")]
    Version,
    /// The head is longer than 64 KiB: 431.
    #[error("the head is longer than 64 KiB")]
    TooLarge,
    /// The head has more than 128 header lines: 431.
    #[error("the head has more than 128 header lines")]
    TooManyHeaders,
    /// The head was not complete before the deadline: 408.
    #[error("the head took too long to arrive")]
    Timeout,
}

impl HeadError {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::TooLarge | Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// Collects the bytes of a head, in pieces of any size, at a cost linear in their number.
#[derive(Default)]
pub(crate) struct Head<L> {
    bytes: Vec<u8>,
    scanner: Scanner<L>,
}

/// A message whose head was read.
pub(crate) struct Complete<M> {
    pub(crate) message: M,
    /// The bytes after the head: the first frames.
    pub(crate) read_ahead: Vec<u8>,
}

impl<L: StartLine> Head<L> {
    /// Adds bytes that arrived. Returns the message once its head is complete. A head that can no
    /// longer be valid is rejected at once.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Option<Complete<L::Message>>, HeadError> {
        self.bytes.extend_from_slice(bytes);
        let Some(end) = self.scanner.scan(&self.bytes)? else {
            return Ok(None);
        };
        let message = L::parse(&self.bytes[..end])?;
        Ok(Some(Complete {
            message,
            read_ahead: self.bytes.split_off(end),
        }))
    }
}

/// Checks that httparse has parsed a whole head.
fn check(parsed: httparse::Result<usize>) -> Result<(), HeadError> {
    match parsed {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyHeaders),
        Ok(httparse::Status::Partial) | Err(_) => Err(HeadError::Malformed),
    }
}

/// Converts httparse's header lines. Returns `None` if one of them is not valid.
fn headers(lines: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(line.value).ok()?);
    }
    Some(headers)
}
