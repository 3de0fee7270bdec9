//! Echo through tokio-tungstenite.

use std::io;

use anyws_compare::orders::{self, Words};
use anyws_compare::server;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{accept_async, accept_async_with_config};

const WORDS: Words<Message> = Words {
    as_text: |message| match message {
        Message::Text(text) => Some(text),
        _ => None,
    },
    text: Message::text,
    binary: Message::Binary,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    server::serve(serve).await
}

async fn serve(stream: TcpStream) {
    if server::is_tuned() {
        let config = WebSocketConfig::default().read_buffer_size(server::TUNED_READ_BUFFER);
        let Ok(socket) = accept_async_with_config(stream, Some(config)).await else {
            return;
        };
        if server::takes_orders() {
            orders::obey(socket, &WORDS).await;
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
