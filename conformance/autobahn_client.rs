//! The client of an Autobahn fuzzing server: runs each of its cases and echoes what it says.
//!
//! `cargo run --example autobahn_client --features rt-tokio,rt-smol,testing -- RUNTIME ADDRESS`,
//! where the runtime is `tokio` or `smol`.

use std::{error::Error, io};

use anyws::{Io, Message, WebSocket, WebSocketConfig, io::TokioIo, testing};
use futures::{AsyncReadExt, AsyncWriteExt};

/// The key of RFC 6455, section 1.3, and what answers it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A head that is longer is none.
const MAX_HEAD: usize = 4096;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Does the opening handshake.
///
/// The head is read byte by byte: what follows it are frames, and for the socket.
async fn open(mut io: impl Io + 'static, target: &str, host: &str) -> Result<WebSocket> {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    io.write_all(request.as_bytes()).await?;
    io.flush().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        io.read_exact(&mut byte).await?;
        head.extend(byte);
        if head.len() > MAX_HEAD {
            return Err("the head of the answer has no end".into());
        }
    }
    let head = String::from_utf8(head)?;
    if !head.starts_with("HTTP/1.1 101 ") || !head.contains(ACCEPT) {
        return Err(format!("no WebSocket at {target}: {head}").into());
    }
    Ok(testing::client(io, &WebSocketConfig::new())?)
}

/// Sends messages back until the connection ends. That the server breaks the protocol is a part of
/// many a case, and no error here.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
        let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_data && socket.send(message).await.is_err() {
            break;
        }
    }
    // What is left to be done: the server ends the TCP connection.
    let _ = socket.close(None).await;
}

/// Runs all cases, over connections that `connect` makes.
async fn run<T: Io + 'static>(
    agent: &str,
    host: &str,
    connect: impl AsyncFn() -> io::Result<T>,
) -> Result<()> {
    let mut socket = open(connect().await?, "/getCaseCount", host).await?;
    let count = match socket.next().await.ok_or("no count of cases comes")?? {
        Message::Text(count) => count.parse::<u32>()?,
        other => return Err(format!("{other:?} is no count of cases").into()),
    };
    socket.close(None).await?;
    for case in 1..=count {
        let target = format!("/runCase?case={case}&agent={agent}");
        echo(open(connect().await?, &target, host).await?).await;
    }
    let target = format!("/updateReports?agent={agent}");
    echo(open(connect().await?, &target, host).await?).await;
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
