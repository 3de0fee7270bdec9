//! The extractor in axum, with what a handler needs.
//!
//! ```edition2021
//! use anyws::axum::{Message, WebSocket, WebSocketUpgrade};
//! use axum::{Router, response::Response, routing::any};
//!
//! async fn handle_socket(mut socket: WebSocket) {
//!     while let Some(Ok(msg)) = socket.next().await {
//!         if matches!(msg, Message::Text(_)) && socket.send(msg).await.is_err() {
//!             break;
//!         }
//!     }
//! }
//!
//! async fn ws_handler(ws: WebSocketUpgrade) -> Response {
//!     ws.on_upgrade(handle_socket)
//! }
//!
//! let app: Router = Router::new().route("/ws", any(ws_handler));
//! ```
//!
//! `Option<WebSocketUpgrade>` serves requests for a page and for a WebSocket by one handler: `None`
//! is a request that asks for no WebSocket: it has neither `Upgrade: websocket` nor
//! `Sec-WebSocket-Key`, or it is HTTP/1.0, which knows no upgrade. One that asks in the wrong way is
//! rejected.
//!
//! `axum::serve` sets no timeout and no limit of its own on the head of a request: see
//! `SECURITY.md`.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::handshake::Offer;
pub use crate::{
    Bytes, CloseCode, CloseFrame, Error, Message, Rejection, TransportConfig, Utf8Bytes, WebSocket,
    WebSocketConfig, WebSocketReceiver, WebSocketSender,
};

/// The extractor: [`WebSocketUpgrade`](crate::WebSocketUpgrade) with the body of axum's responses.
pub type WebSocketUpgrade = crate::WebSocketUpgrade<Body>;

impl<S: Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self::from_parts(parts)?.refusal_body(Body::from))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Rejection> {
        if !Offer::is_asked_for(parts.version, &parts.headers) {
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
