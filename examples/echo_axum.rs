//! An echo server on axum.
//!
//! `cargo run --example echo_axum --features axum,rt-tokio [ADDRESS]`

use anyws::{
    DeflateConfig,
    axum::{WebSocket, WebSocketUpgrade},
};
use axum::{Router, response::Response, routing::any, serve::ListenerExt};
use tokio::net::TcpListener;

/// Sends each message back unchanged.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next_data().await {
        // `feed` buffers the answer: a burst of messages is answered in one write, which
        // `next_data` does before it waits for more.
        if socket.feed(message).await.is_err() {
            break;
        }
    }
}

async fn ws_handler(ws: WebSocketUpgrade) -> Response {
    ws.deflate(cfg!(feature = "deflate").then(DeflateConfig::new))
        .on_failed_upgrade(|error| eprintln!("no upgrade: {error:#}"))
        .on_upgrade(echo)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    // If `set_nodelay` fails, the socket is about to fail anyway.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let app = Router::new().route("/", any(ws_handler));
    axum::serve(listener, app).await
}
