//! Opens a client's socket on a stream of any runtime.

use std::{error::Error, fmt::Write};

use anyws::{
    Io, WebSocket, WebSocketConfig,
    http::{Request, Response},
    testing,
};
use futures::{AsyncReadExt, AsyncWriteExt};

/// The maximum size of an answer's head, in bytes, and its maximum number of headers.
const MAX_HEAD: usize = 4096;
const MAX_HEADERS: usize = 32;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Does the opening handshake, in which the client offers the compression of the settings.
pub(crate) async fn open(
    mut io: impl Io + 'static,
    target: &str,
    host: &str,
    config: &WebSocketConfig,
) -> Result<WebSocket> {
    let (request, client) = testing::upgrade_with(&format!("http://{host}{target}"), config);
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
