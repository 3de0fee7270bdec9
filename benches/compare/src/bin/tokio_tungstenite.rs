//! Echo through tokio-tungstenite, as a server or a client.

use std::sync::Arc;

use anyws_compare::Result;
use anyws_compare::client::{self, Library, Plan, TokioStream};
use anyws_compare::orders::{self, Words};
use anyws_compare::server;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{
    WebSocketStream, accept_async, accept_async_with_config, client_async, client_async_with_config,
};

const WORDS: Words<Message> = Words {
    as_text: |message| match message {
        Message::Text(text) => Some(text),
        _ => None,
    },
    text: Message::text,
    binary: Message::Binary,
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
    if server::is_tuned() {
        let Ok(socket) = accept_async_with_config(stream, Some(tuned())).await else {
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

async fn connect(plan: Arc<Plan>) -> Result<WebSocketStream<TokioStream>> {
    let stream = plan.tokio_stream().await?;
    let (socket, _) = if server::is_tuned() {
        client_async_with_config(plan.uri(), stream, Some(tuned())).await?
    } else {
        client_async(plan.uri(), stream).await?
    };
    Ok(socket)
}

async fn exchange(socket: WebSocketStream<TokioStream>, depth: usize) -> Result<()> {
    client::exchange(socket, depth, is_data).await
}

fn tuned() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(server::TUNED_READ_BUFFER)
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
