//! The head of a request, for streams that this crate reads itself.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};

use super::{
    scanner::{MAX_HEADERS, Scanner},
    target,
};

/// Why the head of a request could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The bytes are not an HTTP/1 request: 400.
    #[error("the head of the request is not valid HTTP/1")]
    Malformed,
    /// The request has another major version than HTTP/1 (RFC 9110, section 15.6.6): 505.
    #[error("the request is of another major version than HTTP/1")]
    Version,
    /// The head is longer than 64 KiB: 431.
    #[error("the head of the request is longer than 64 KiB")]
    TooLarge,
    /// The head has more than 128 header lines: 431.
    #[error("the head of the request has more than 128 header lines")]
    TooManyHeaders,
    /// The head was not complete before the deadline: 408.
    #[error("the head of the request took too long to arrive")]
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
pub(crate) struct Head {
    bytes: Vec<u8>,
    scanner: Scanner,
}

/// A request whose head was read.
pub(crate) struct Complete {
    pub(crate) request: Request<()>,
    /// The bytes after the head: the first frames.
    pub(crate) read_ahead: Vec<u8>,
}

impl Head {
    /// Adds bytes that arrived. Returns the request once its head is complete. A head that can no
    /// longer be valid is rejected at once.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Option<Complete>, HeadError> {
        self.bytes.extend_from_slice(bytes);
        let Some(end) = self.scanner.scan(&self.bytes)? else {
            return Ok(None);
        };
        let request = parse(&self.bytes[..end])?;
        Ok(Some(Complete {
            request,
            read_ahead: self.bytes.split_off(end),
        }))
    }
}

fn parse(bytes: &[u8]) -> Result<Request<()>, HeadError> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut lines);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyHeaders),
        Ok(httparse::Status::Partial) | Err(_) => return Err(HeadError::Malformed),
    }
    request(&parsed).ok_or(HeadError::Malformed)
}

/// Converts httparse's view into a request. Returns `None` if a part of it is not valid.
fn request(parsed: &httparse::Request<'_, '_>) -> Option<Request<()>> {
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(line.value).ok()?);
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    *request.uri_mut() = target::parse(request.method(), parsed.path?)?;
    *request.version_mut() = if parsed.version? == 0 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    *request.headers_mut() = headers;
    Some(request)
}
