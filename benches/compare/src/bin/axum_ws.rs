//! Echo through axum's own `ws` module, with its default settings.

use std::io;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = anyws_compare::listen().await?;
    axum::serve(listener, Router::new().route("/", get(upgrade))).await
}

async fn upgrade(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let data = matches!(message, Message::Text(_) | Message::Binary(_));
        if data && socket.send(message).await.is_err() {
            break;
        }
    }
}
