//! anyws on tokio, following orders.

use std::io;

use anyws::io::TokioIo;
use anyws::{Message, WebSocketConfig};
use anyws_compare::orders::{self, Words};
use anyws_compare::server;
use tokio::net::TcpStream;

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
    let stream = TokioIo::new(stream);
    if let Ok(socket) = anyws::accept(stream, WebSocketConfig::new()).await {
        orders::obey(socket, &WORDS).await;
    }
}
