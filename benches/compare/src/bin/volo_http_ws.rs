//! Echo through Volo-HTTP's own `ws` module.

use anyws_compare::server;
use futures_util::{SinkExt, StreamExt};
use volo::net::incoming::DefaultIncoming;
use volo_http::response::Response;
use volo_http::server::Server;
use volo_http::server::route::{Router, get};
use volo_http::server::utils::ws::{Message, WebSocket, WebSocketUpgrade};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = server::listen().await?;
    let router: Router = Router::new().route("/", get(upgrade));
    // Volo itself sets TCP_NODELAY.
    Server::new(router)
        .run(DefaultIncoming::from(listener))
        .await
}

async fn upgrade(ws: WebSocketUpgrade) -> Response {
    if server::is_tuned() {
        // The module has no setting for the read buffer.
        ws.on_upgrade(async |mut socket| server::echo_in_bursts(&mut *socket, is_data).await)
    } else {
        ws.on_upgrade(echo)
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
        if is_data(&message) && socket.send(message).await.is_err() {
            break;
        }
    }
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
