//! Echo through tokio-websockets, as a server or a client.

use std::sync::Arc;

use anyws_compare::Result;
use anyws_compare::client::{self, Library, Plan, TokioStream};
use anyws_compare::orders::{self, Words};
use anyws_compare::server;
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, Config, Limits, Message, ServerBuilder, WebSocketStream};

// What is buffered before a flush is forced; by default 8 KiB, less than a burst.
const TUNED_FLUSH_THRESHOLD: usize = 64 << 10;

const WORDS: Words<Message> = Words {
    as_text: Message::as_text,
    text: |text| Message::text(text),
    binary: |bytes| Message::binary(bytes),
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Some(plan) = Plan::read()? else {
        return Ok(server::serve(serve).await?);
    };
    let library = Library {
        connect,
        exchange,
        discard: drop,
    };
    client::run(plan, library).await
}

async fn serve(stream: TcpStream) {
    let builder = ServerBuilder::new().limits(limits());
    if server::is_tuned() {
        let Ok((_, socket)) = builder.config(tuned()).accept(stream).await else {
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

async fn connect(plan: Arc<Plan>) -> Result<WebSocketStream<TokioStream>> {
    let mut builder = ClientBuilder::new().uri(&plan.uri())?.limits(limits());
    if server::is_tuned() {
        builder = builder.config(tuned());
    }
    let (socket, _) = builder.connect_on(plan.tokio_stream().await?).await?;
    Ok(socket)
}

async fn exchange(socket: WebSocketStream<TokioStream>, depth: usize) -> Result<()> {
    client::exchange(socket, depth, is_data).await
}

fn limits() -> Limits {
    Limits::default().max_payload_len(Some(server::MAX_MESSAGE))
}

// The frame size is that of the library's own benchmark server.
fn tuned() -> Config {
    Config::default()
        .frame_size(usize::MAX)
        .flush_threshold(TUNED_FLUSH_THRESHOLD)
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
