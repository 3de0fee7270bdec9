//! The answer to a handshake that is not accepted.

use http::{Response, StatusCode, header::CONTENT_TYPE};

use crate::{error::Error, handshake::rejection};

/// Answers what cannot be accepted: by its rejection, or by 500 where the server is at fault.
pub(crate) fn refusal<B>(error: &Error, body: fn(String) -> B) -> Response<B> {
    // What exactly is wrong is no business of the client's.
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
