//! Echo through axum's own `ws` module.

use std::io;

use anyws_compare::server;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = server::listen()
        .await?
        .tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, Router::new().route("/", get(upgrade))).await
}

async fn upgrade(ws: WebSocketUpgrade) -> Response {
    if server::is_tuned() {
        ws.read_buffer_size(server::TUNED_READ_BUFFER)
            .on_upgrade(|socket| server::echo_in_bursts(socket, is_data))
    } else {
        ws.on_upgrade(echo)
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if is_data(&message) && socket.send(message).await.is_err() {
            break;
        }
    }
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
