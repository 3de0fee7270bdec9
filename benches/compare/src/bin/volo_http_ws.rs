//! Echo through Volo-HTTP's own `ws` module, with its default settings.

use futures_util::{SinkExt, StreamExt};
use volo::net::incoming::DefaultIncoming;
use volo_http::response::Response;
use volo_http::server::Server;
use volo_http::server::route::{Router, get};
use volo_http::server::utils::ws::{WebSocket, WebSocketUpgrade};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = anyws_compare::listen().await?;
    let router: Router = Router::new().route("/", get(upgrade));
    Server::new(router)
        .run(DefaultIncoming::from(listener))
        .await
}

async fn upgrade(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
}
