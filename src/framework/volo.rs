//! The extractor for Volo-HTTP, with the types that a handler needs.
//!
#![cfg_attr(not(doctest), doc = include_str!("volo.md"))]
//!
//! `Option<WebSocketUpgrade>` is Volo's own. `None` is any request that is not a valid handshake,
//! including a malformed request for a WebSocket. To distinguish the two, use
//! `Result<WebSocketUpgrade, Rejection>`.
//!
//! Volo's server sets no timeout and no limit of its own on the head of a request: see
//! `SECURITY.md`.

use http::request::Parts;
use volo_http::{
    body::Body,
    context::ServerContext,
    response::Response,
    server::{IntoResponse, extract::FromContext},
};

use crate::server::upgrade;
pub use crate::{
    config::{TransportConfig, WebSocketConfig},
    error::Error,
    handshake::Rejection,
    message::{Bytes, CloseCode, CloseFrame, Message, Utf8Bytes},
    socket::{ReceiveHalf, SendHalf, WebSocket},
};

/// The extractor: [`WebSocketUpgrade`](crate::WebSocketUpgrade) with the body of Volo's responses.
pub type WebSocketUpgrade = upgrade::WebSocketUpgrade<Body>;

impl FromContext for WebSocketUpgrade {
    type Rejection = Rejection;

    async fn from_context(_: &mut ServerContext, parts: &mut Parts) -> Result<Self, Rejection> {
        Ok(Self::from_parts(parts)?.refusal_body(Body::from))
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.into_response()
    }
}
