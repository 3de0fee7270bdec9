//! Echo through tokio-websockets.

use std::io;

use anyws_compare::orders::{self, Words};
use anyws_compare::server;
use tokio::net::TcpStream;
use tokio_websockets::{Config, Limits, Message, ServerBuilder};

// What is buffered before a flush is forced; by default 8 KiB, less than a burst.
const TUNED_FLUSH_THRESHOLD: usize = 64 << 10;

const WORDS: Words<Message> = Words {
    as_text: Message::as_text,
    text: |text| Message::text(text),
    binary: |bytes| Message::binary(bytes),
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    server::serve(serve).await
}

async fn serve(stream: TcpStream) {
    let limits = Limits::default().max_payload_len(Some(server::MAX_MESSAGE));
    let builder = ServerBuilder::new().limits(limits);
    if server::is_tuned() {
        // The frame size is that of the library's own benchmark server.
        let config = Config::default()
            .frame_size(usize::MAX)
            .flush_threshold(TUNED_FLUSH_THRESHOLD);
        let Ok((_, socket)) = builder.config(config).accept(stream).await else {
            return;
        };
        if server::takes_orders() {
            orders::obey(socket, &WORDS).await;
        } else {
            server::echo_in_chunks(socket, is_data).await;
        }
    } else {
        let Ok((_, socket)) = builder.accept(stream).await else {
            return;
        };
        server::echo(socket, is_data).await;
    }
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
