//! A client for an Autobahn fuzzing server: runs each of its cases and echoes its messages.
//!
//! `cargo run --example autobahn_client --features rt-tokio,rt-smol,testing -- RUNTIME ADDRESS`,
//! where the runtime is `tokio` or `smol`.

use std::{error::Error, fmt::Write, io};

use anyws::{
    Io, Message, WebSocket,
    http::{Request, Response},
    io::TokioIo,
    testing,
};
use futures::{AsyncReadExt, AsyncWriteExt};

/// The maximum size of an answer's head, in bytes, and its maximum number of headers.
const MAX_HEAD: usize = 4096;
const MAX_HEADERS: usize = 32;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Does the opening handshake.
async fn open(mut io: impl Io + 'static, target: &str, host: &str) -> Result<WebSocket> {
    let (request, client) = testing::upgrade(&format!("http://{host}{target}"));
    io.write_all(&head(&request)?).await?;
    io.flush().await?;
    let response = read_response(&mut io).await?;
    Ok(client.open_on(io, &response)?)
}

/// Encodes the head of a request as HTTP/1.1.
fn head(request: &Request<()>) -> Result<Vec<u8>> {
    let target = request.uri().path_and_query().ok_or("no path")?;
    let mut head = format!("GET {target} HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        write!(head, "{name}: {}\r\n", value.to_str()?)?;
    }
    Ok((head + "\r\n").into_bytes())
}

/// Reads the head of the answer byte by byte: the bytes after it are frames for the socket.
async fn read_response(io: &mut (impl Io + 'static)) -> Result<Response<()>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        io.read_exact(&mut byte).await?;
        head.extend(byte);
        if head.len() > MAX_HEAD {
            return Err("the head of the answer has no end".into());
        }
    }
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut lines);
    parsed.parse(&head)?;
    let mut response = Response::builder().status(parsed.code.ok_or("no status")?);
    for line in parsed.headers {
        response = response.header(line.name, line.value);
    }
    Ok(response.body(())?)
}

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
