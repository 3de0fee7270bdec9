// hint: in axum use `anyws::axum::WebSocketUpgrade`
// hint: the trait `ResponseBody` is not implemented
// fix: use anyws:: => use anyws::axum::

use anyws::{WebSocket, WebSocketUpgrade};
use axum::{Router, response::Response, routing::any};

async fn handle_socket(mut socket: WebSocket) {
    socket.next().await;
}

async fn ws_handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(handle_socket)
}

pub fn app() -> Router {
    Router::new().route("/ws", any(ws_handler))
}
