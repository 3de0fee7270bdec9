//! A client for an Autobahn fuzzing server: runs each of its cases and echoes its messages.
//!
//! `cargo run --example autobahn_client --features rt-tokio,rt-smol,testing,deflate -- RUNTIME
//! ADDRESS`, where the runtime is `tokio` or `smol`.

use std::io;

use anyws::{DeflateConfig, Io, Message, WebSocket, WebSocketConfig, io::TokioIo};

use self::client::{Result, open};

mod client;

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

/// Runs all cases, over connections from `connect`.
async fn run<T: Io + 'static>(
    agent: &str,
    host: &str,
    connect: impl AsyncFn() -> io::Result<T>,
) -> Result<()> {
    let config = &WebSocketConfig::new().set_deflate(DeflateConfig::new());
    let mut socket = open(connect().await?, "/getCaseCount", host, config).await?;
    let count = match socket.next().await.ok_or("no count of cases comes")?? {
        Message::Text(count) => count.parse::<u32>()?,
        other => return Err(format!("{other:?} is no count of cases").into()),
    };
    socket.close(None).await?;
    for case in 1..=count {
        let target = format!("/runCase?case={case}&agent={agent}");
        echo(open(connect().await?, &target, host, config).await?).await;
    }
    let target = format!("/updateReports?agent={agent}");
    echo(open(connect().await?, &target, host, config).await?).await;
    println!("{count} cases were run");
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [runtime, address] = &arguments[..] else {
        return Err("usage: autobahn_client (tokio | smol) ADDRESS".into());
    };
    let agent = format!("client_{runtime}");
    match &runtime[..] {
        "tokio" => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(run(&agent, address, async || {
                let stream = tokio::net::TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(TokioIo::new(stream))
            }))
        }
        "smol" => smol::block_on(run(&agent, address, async || {
            let stream = smol::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })),
        other => Err(format!("{other} is none of the runtimes tokio and smol").into()),
    }
}
