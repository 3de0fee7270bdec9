//! A server that only sends, on smol: the seconds since a client connected, until it leaves.
//!
//! `cargo run --example ticker --features rt-smol [ADDRESS]`

use std::time::Duration;

use anyws::{
    Error, WebSocket, WebSocketConfig,
    rt::{self, TimeoutError},
};
use smol::net::{TcpListener, TcpStream};

const SECOND: Duration = Duration::from_secs(1);

/// Sends the seconds until the connection ends. It names no runtime.
async fn tick(mut socket: WebSocket) -> anyws::Result<()> {
    let runtime = socket.runtime().ok_or(Error::NoRuntime)?;
    for second in 0_u64.. {
        socket.send(second.to_string().into()).await?;
        // Nobody else reads: `closed` answers pings and the client's Close.
        match rt::timeout(&runtime, SECOND, socket.closed()).await {
            Ok(closed) => return closed,
            Err(TimeoutError::Elapsed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Does the opening handshake, and sends.
async fn serve(stream: TcpStream) -> anyws::Result<()> {
    stream.set_nodelay(true)?;
    tick(anyws::accept(stream, WebSocketConfig::new()).await?).await
}

fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    smol::block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on ws://{}/", listener.local_addr()?);
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                // For example too many open files: do not stop, and do not spin.
                Err(error) => {
                    eprintln!("no connection: {error}");
                    smol::Timer::after(Duration::from_millis(100)).await;
                    continue;
                }
            };
            smol::spawn(async {
                match serve(stream).await {
                    // Clients leave all the time, with and without a Close.
                    Err(error) if !error.is_disconnect() => eprintln!("{error:#}"),
                    _ => {}
                }
            })
            .detach();
        }
    })
}
