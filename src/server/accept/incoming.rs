//! Any request on a bare stream: one for a WebSocket, or plain HTTP.

use std::fmt;

use http::{Request, Response};

use super::{ServerHandshake, unanswered::Unanswered};
use crate::error::Result;

/// A request that [`ServerHandshake::read_any`] has read.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "answer the request"]
pub enum Incoming {
    /// A valid request for a WebSocket.
    WebSocket(ServerHandshake),
    /// A plain HTTP request, which asks for no WebSocket.
    Http(PlainRequest),
}

/// A plain HTTP request that was read from a bare stream and is not yet answered.
///
/// Only its head was read and parsed. A body or a second request is not read: the answer ends the
/// connection.
#[must_use = "respond to the request"]
pub struct PlainRequest {
    connection: Unanswered,
    request: Request<()>,
}

impl PlainRequest {
    pub(super) fn new(connection: Unanswered, request: Request<()>) -> Self {
        Self {
            connection,
            request,
        }
    }

    /// Returns the request: its method, path and headers.
    #[must_use]
    pub fn request(&self) -> &Request<()> {
        &self.request
    }

    /// Answers with `response` and closes the stream.
    ///
    /// `Content-Length` and `Connection: close` are added. The answer to `HEAD` is sent without its
    /// body.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) if the answer cannot be written,
    /// [`Error::Timeout`](crate::Error::Timeout) if it is not written within the close timeout.
    ///
    /// # Panics
    ///
    /// If the status of `response` is informational, such as 101: such an answer is not the final
    /// one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn respond(self, response: Response<impl AsRef<[u8]>>) -> Result<()> {
        self.connection.respond(response).await
    }
}

/// Shows only the method and the path: the query and the headers carry cookies and tokens.
impl fmt::Debug for PlainRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainRequest")
            .field("request", &Brief(&self.request))
            .finish_non_exhaustive()
    }
}

/// The part of a request that a log may show.
pub(super) struct Brief<'a>(pub(super) &'a Request<()>);

impl fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.method(), self.0.uri().path())
    }
}
