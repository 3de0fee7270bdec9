//! Echo through sockudo-ws, as a server or a client.

use std::sync::Arc;

use anyws_compare::Result;
use anyws_compare::client::{self, Library, Plan};
use anyws_compare::deflate::Deflate;
use anyws_compare::orders::{self, Words};
use anyws_compare::server;
use sockudo_ws::client::WebSocketClient;
use sockudo_ws::deflate::{DeflateWindowBits, negotiate_server_deflate};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::server::WebSocketServer;
use sockudo_ws::{
    CompressedWebSocketStream, Config, DeflateConfig, Http1, Message, Stream, WebSocketStream,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
    let config = config();
    if let Some(deflate) = server::deflate() {
        // An error ends this connection alone, and the load sees that.
        let _ = serve_compressed(stream, config, deflate).await;
        return;
    }
    let server = WebSocketServer::<Http1>::new(config);
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

fn config() -> Config {
    let mut config = Config::builder().max_payload_length(server::MAX_MESSAGE);
    if server::is_tuned() {
        // Batching is on by default, and the loop flushes at the end of a batch. The rest is what
        // the library's own benchmarks turn off.
        config = config
            .write_coalescing(true)
            .auto_ping(false)
            .idle_timeout(0);
    }
    config.build()
}

async fn connect(plan: Arc<Plan>) -> Result<WebSocketStream<Stream<Http1>>> {
    let client = WebSocketClient::<Http1>::new(config());
    let stream = plan.tokio_stream().await?;
    let host = plan.address.to_string();
    let (socket, _) = client.connect(stream, &host, "/", None).await?;
    Ok(socket)
}

async fn exchange(socket: WebSocketStream<Stream<Http1>>, depth: usize) -> Result<()> {
    client::exchange(socket, depth, is_data).await
}

/// Its servers negotiate no compression outside axum, so this does, by its own functions.
async fn serve_compressed(mut stream: TcpStream, config: Config, deflate: Deflate) -> Result<()> {
    let bits = DeflateWindowBits::try_from(deflate.window_bits())?;
    let policy = DeflateConfig {
        server_max_window_bits: bits,
        client_max_window_bits: bits,
        server_no_context_takeover: !deflate.takes_over(),
        client_no_context_takeover: !deflate.takes_over(),
        compression_level: deflate.level.into(),
        ..DeflateConfig::default()
    };
    let mut head = Vec::new();
    let negotiated = loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err("no complete request".into());
        }
        let Some((request, _)) = parse_request(&head)? else {
            continue;
        };
        let offers = request.extensions.unwrap_or_default();
        let negotiated = negotiate_server_deflate(offers, &policy).ok_or("nothing to agree on")?;
        let key = generate_accept_key(request.key);
        let response = build_response(&key, None, Some(&negotiated.to_response_header()));
        stream.write_all(&response).await?;
        break negotiated;
    };
    // The load sends nothing more before it has the response.
    let socket = CompressedWebSocketStream::server(stream, config, negotiated.config);
    if server::is_tuned() {
        server::echo_in_bursts(socket, is_data).await;
    } else {
        server::echo(socket, is_data).await;
    }
    Ok(())
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
