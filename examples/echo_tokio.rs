//! An echo server on tokio, without any HTTP library.
//!
//! `cargo run --example echo_tokio --features rt-tokio [ADDRESS]`

use std::time::Duration;

use anyws::{DeflateConfig, WebSocket, WebSocketConfig, io::TokioIo};
use tokio::net::{TcpListener, TcpStream};

/// Sends each message back unchanged.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next_data().await {
        // `feed` buffers the answer: a burst of messages is answered in one write, which
        // `next_data` does before it waits for more.
        if socket.feed(message).await.is_err() {
            break;
        }
    }
}

/// Does the opening handshake.
async fn open(stream: TcpStream) -> anyws::Result<WebSocket> {
    stream.set_nodelay(true)?;
    let config =
        WebSocketConfig::new().set_deflate(cfg!(feature = "deflate").then(DeflateConfig::new));
    anyws::accept(TokioIo::new(stream), config).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("no connection: {error}");
                // For example too many open files: do not stop, and do not spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        tokio::spawn(async {
            match open(stream).await {
                Ok(socket) => echo(socket).await,
                Err(error) => eprintln!("{error:#}"),
            }
        });
    }
}
