//! A client for an Autobahn fuzzing server: runs each of its cases and echoes its messages.
//!
//! `cargo run --example autobahn_client --features rt-tokio,rt-smol,client,deflate -- RUNTIME
//! ADDRESS`, where the runtime is `tokio` or `smol`.

use anyws::{BoxError, ClientBuilder, DeflateConfig, Message, WebSocket, WebSocketConfig};

type Result<T> = std::result::Result<T, BoxError>;

/// Sends messages back until the connection ends. In many cases the server breaks the protocol, so
/// that is no error here.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
        let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_data && socket.send(message).await.is_err() {
            break;
        }
    }
    // Waits for the server to end the TCP connection.
    let _ = socket.close(None).await;
}

/// Opens a socket for a path of the fuzzing server, and offers compression.
async fn open(address: &str, target: &str) -> anyws::Result<WebSocket> {
    let config = WebSocketConfig::new().set_deflate(DeflateConfig::new());
    let (socket, _) = ClientBuilder::new(format!("ws://{address}{target}"))
        .config(config)
        .connect()
        .await?;
    Ok(socket)
}

/// Runs all cases.
async fn run(agent: &str, address: &str) -> Result<()> {
    let mut socket = open(address, "/getCaseCount").await?;
    let count = match socket.next().await.ok_or("no count of cases comes")?? {
        Message::Text(count) => count.parse::<u32>()?,
        other => return Err(format!("{other:?} is no count of cases").into()),
    };
    socket.close(None).await?;
    for case in 1..=count {
        echo(open(address, &format!("/runCase?case={case}&agent={agent}")).await?).await;
    }
    echo(open(address, &format!("/updateReports?agent={agent}")).await?).await;
    println!("{count} cases were run");
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [runtime, address] = &arguments[..] else {
        return Err("usage: autobahn_client (tokio | smol) ADDRESS".into());
    };
    let agent = format!("client_{runtime}");
    let run = run(&agent, address);
    match &runtime[..] {
        "tokio" => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(run),
        "smol" => smol::block_on(run),
        other => Err(format!("{other} is none of the runtimes tokio and smol").into()),
    }
}
