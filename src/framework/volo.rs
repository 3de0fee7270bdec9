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

use std::sync::Arc;

use http::request::Parts;
use volo_http::{
    body::Body,
    context::ServerContext,
    prelude::Address,
    response::Response,
    server::{IntoResponse, extract::FromContext},
    utils::Extension,
};

pub use crate::{
    config::{TransportConfig, WebSocketConfig},
    error::Error,
    handshake::Rejection,
    message::{Bytes, CloseCode, CloseFrame, Message, Utf8Bytes},
    socket::{ReceiveHalf, SendHalf, WebSocket},
};
use crate::{rt::Runtime, server::upgrade, tracker::Tracker};

/// The extractor: [`WebSocketUpgrade`](crate::WebSocketUpgrade) with the body of Volo's responses.
pub type WebSocketUpgrade = upgrade::WebSocketUpgrade<Body>;

impl FromContext for WebSocketUpgrade {
    type Rejection = Rejection;

    async fn from_context(cx: &mut ServerContext, parts: &mut Parts) -> Result<Self, Rejection> {
        // Volo's `Extension` puts its value into the context, where only Volo looks.
        bring::<Tracker>(cx, parts).await;
        bring::<Arc<dyn Runtime>>(cx, parts).await;
        let peer = match Address::from_context(cx, parts).await {
            Ok(Address::Ip(address)) => Some(address.ip()),
            _ => None,
        };
        Ok(Self::extract(parts, peer)?.refusal_body(Body::from))
    }
}

/// Copies a value of the context to the request, unless the request has one of its own.
async fn bring<T: Clone + Send + Sync + 'static>(cx: &mut ServerContext, parts: &mut Parts) {
    if parts.extensions.get::<T>().is_none()
        && let Ok(Extension(value)) = Extension::<T>::from_context(cx, parts).await
    {
        parts.extensions.insert(value);
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.into_response()
    }
}
