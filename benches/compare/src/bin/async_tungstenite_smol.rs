//! Echo through async-tungstenite, on smol.

use std::io;

use anyws_compare::orders;
use anyws_compare::server;
use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::{accept_async, accept_async_with_config};
use smol::net::TcpStream;

fn main() -> io::Result<()> {
    server::serve_on_smol(serve)
}

async fn serve(stream: TcpStream) {
    if server::is_tuned() {
        let config = WebSocketConfig::default().read_buffer_size(server::TUNED_READ_BUFFER);
        let Ok(socket) = accept_async_with_config(stream, Some(config)).await else {
            return;
        };
        if server::takes_orders() {
            orders::obey(socket, &orders::TUNGSTENITE).await;
        } else {
            server::echo_in_bursts(socket, is_data).await;
        }
    } else {
        let Ok(socket) = accept_async(stream).await else {
            return;
        };
        server::echo(socket, is_data).await;
    }
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
