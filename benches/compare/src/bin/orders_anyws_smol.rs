//! anyws on smol, following orders.

use std::io;

use anyws::{Message, WebSocketConfig};
use anyws_compare::orders::{self, Words};
use anyws_compare::server;
use smol::net::TcpStream;

const WORDS: Words<Message> = Words {
    as_text: |message| match message {
        Message::Text(text) => Some(text),
        _ => None,
    },
    text: Message::text,
    binary: Message::Binary,
};

fn main() -> io::Result<()> {
    server::serve_on_smol(serve)
}

async fn serve(stream: TcpStream) {
    if let Ok(socket) = anyws::accept(stream, WebSocketConfig::new()).await {
        orders::obey(socket, &WORDS).await;
    }
}
