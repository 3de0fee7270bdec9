//! The extractor for axum, with the types that a handler needs.
//!
#![cfg_attr(not(doctest), doc = include_str!("axum.md"))]
//!
//! With `Option<WebSocketUpgrade>`, one handler serves both a page and a WebSocket. `None` is a
//! request that asks for no WebSocket: it has neither `Upgrade: websocket` nor `Sec-WebSocket-Key`,
//! or it is HTTP/1.0, which has no upgrade. A malformed request for a WebSocket is rejected.
//!
//! `axum::serve` sets no timeout and no limit of its own on the head of a request: see
//! `SECURITY.md`.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

pub use crate::{
    config::{TransportConfig, WebSocketConfig},
    error::Error,
    handshake::Rejection,
    message::{Bytes, CloseCode, CloseFrame, Message, Utf8Bytes},
    socket::{ReceiveHalf, SendHalf, WebSocket},
};
use crate::{handshake::UpgradeRequest, server::upgrade};

/// The extractor: [`WebSocketUpgrade`](crate::WebSocketUpgrade) with the body of axum's responses.
pub type WebSocketUpgrade = upgrade::WebSocketUpgrade<Body>;

impl<S: Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self::from_parts(parts)?.refusal_body(Body::from))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Rejection> {
        if !UpgradeRequest::is_asked_for(parts.version, &parts.headers) {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state)
            .await
            .map(Some)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.into_response()
    }
}
