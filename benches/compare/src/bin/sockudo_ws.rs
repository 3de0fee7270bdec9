//! Echo through sockudo-ws.

use std::io;

use anyws_compare::orders::{self, Words};
use anyws_compare::server;
use sockudo_ws::server::WebSocketServer;
use sockudo_ws::{Config, Http1, Message};
use tokio::net::TcpStream;

const WORDS: Words<Message> = Words {
    as_text: |message| match message {
        Message::Text(_) => message.as_text(),
        _ => None,
    },
    text: |text| Message::text(text),
    binary: |bytes| Message::binary(bytes),
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    server::serve(serve).await
}

async fn serve(stream: TcpStream) {
    let mut config = Config::builder().max_payload_length(server::MAX_MESSAGE);
    if server::is_tuned() {
        // Batching is on by default, and the loop flushes at the end of a batch. The rest is what
        // the library's own benchmarks turn off.
        config = config
            .write_coalescing(true)
            .auto_ping(false)
            .idle_timeout(0);
    }
    let server = WebSocketServer::<Http1>::new(config.build());
    let Ok((socket, _)) = server.accept_raw(stream).await else {
        return;
    };
    if server::is_tuned() {
        if server::takes_orders() {
            orders::obey(socket, &WORDS).await;
        } else {
            server::echo_in_bursts(socket, is_data).await;
        }
    } else {
        server::echo(socket, is_data).await;
    }
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
