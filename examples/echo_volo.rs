//! An echo server on Volo-HTTP.
//!
//! `cargo run --example echo_volo --features volo [ADDRESS]`

use anyws::{
    DeflateConfig,
    volo::{WebSocket, WebSocketUpgrade},
};
use tokio::net::TcpListener;
use volo::net::incoming::DefaultIncoming;
use volo_http::{
    response::Response,
    server::{
        Server,
        route::{Router, any},
    },
};

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
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let app: Router = Router::new().route("/", any(ws_handler));
    Server::new(app).run(DefaultIncoming::from(listener)).await
}
