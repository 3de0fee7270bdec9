//! The answer to a handshake that is not accepted.

use http::{Response, StatusCode, header::CONTENT_TYPE};

use crate::{error::Error, handshake::rejection};

/// Returns the answer for a handshake that is not accepted: its rejection, or 500 if the server is
/// at fault.
pub(crate) fn refusal<B>(error: &Error, body: fn(String) -> B) -> Response<B> {
    // The client does not need to know what exactly is wrong with the server.
    let reason = match error {
        Error::Rejected(rejection) => return rejection.response_with(body),
        Error::NoRuntime => "the server has no runtime for WebSockets",
        Error::Upgrade(_) => "the server's runtime has stopped",
        _ => "the server's WebSocket settings are wrong",
    };
    let mut response = Response::new(body(reason.to_owned()));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(CONTENT_TYPE, rejection::TEXT);
    response
}
