//! What the echo servers here have in common: the command line, the limits and the loops.
//!
//! ```text
//! SERVER [ADDRESS] [--tuned [--orders]] [--deflate TAKEOVER-LEVEL]
//! ```
//!
//! Without `--tuned` a server is what the README of its library shows; with it, what the authors of
//! the library recommend or use where speed counts. The limits are the same. With `--orders` it
//! does what the client says. With `--deflate` it compresses, if it can, and if it is asked to.

use std::convert::Infallible;
use std::{env, io};

use anyws::{DeflateConfig, WebSocket, WebSocketConfig};
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::deflate::{Deflate, Takeover};

/// The largest message that every server takes.
pub const MAX_MESSAGE: usize = 64 << 20;

/// The read buffer of the tuned servers on tungstenite: its own, 128 KiB, is zeroed again
/// before every read.
pub const TUNED_READ_BUFFER: usize = 16 << 10;

/// How many messages are taken at most before they are answered.
const CHUNK: usize = 32;

const DEFAULT_ADDRESS: &str = "127.0.0.1:9001";

/// The option that asks for the tuned variant.
pub const TUNED: &str = "--tuned";

/// Tells whether the tuned variant was asked for.
#[must_use]
pub fn is_tuned() -> bool {
    env::args().any(|argument| argument == TUNED)
}

/// The option that asks for a server that follows [orders](crate::orders).
pub const ORDERS: &str = "--orders";

/// Tells whether orders are to be followed.
#[must_use]
pub fn takes_orders() -> bool {
    env::args().any(|argument| argument == ORDERS)
}

/// The option that asks for compression; its value is a [`Deflate`].
pub const DEFLATE: &str = "--deflate";

/// How to compress.
#[must_use]
pub fn deflate() -> Option<Deflate> {
    let mut arguments = env::args().skip_while(|argument| argument != DEFLATE);
    arguments.nth(1).as_deref().and_then(Deflate::read)
}

/// The settings of anyws; the default ones, but for compression.
pub fn config(deflate: Option<Deflate>) -> WebSocketConfig {
    let settings = |deflate: Deflate| {
        let settings = DeflateConfig::new()
            .level(deflate.level)
            .send_window_bits(deflate.window_bits())
            .receive_window_bits(deflate.window_bits())
            .receive_takeover(deflate.takes_over());
        settings.send_takeover(match deflate.takeover {
            Takeover::None => anyws::Takeover::None,
            Takeover::Window => anyws::Takeover::Window,
            Takeover::Dedicated => anyws::Takeover::Dedicated,
        })
    };
    WebSocketConfig::new().set_deflate(deflate.map(settings))
}

/// Sends each message back, as the examples of anyws do.
pub async fn echo_by_anyws(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next_data().await {
        if socket.feed(message).await.is_err() {
            return;
        }
    }
}

/// The address to listen on.
#[must_use]
pub fn address() -> String {
    env::args()
        .nth(1)
        .unwrap_or_else(|| DEFAULT_ADDRESS.to_owned())
}

/// Listens on the address given as first argument and says where.
///
/// # Errors
///
/// When the address cannot be listened on.
pub async fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address()).await?;
    // The port is the real one, also when port 0 was asked for. From here on the kernel
    // queues connections, so the server may be called ready.
    println!("listening on ws://{}/", listener.local_addr()?);
    Ok(listener)
}

/// Accepts connections on tokio and hands each to `serve`, in a task of its own.
///
/// # Errors
///
/// When the address cannot be listened on, or a connection cannot be accepted.
pub async fn serve<F>(serve: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = listen().await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

/// Like [`serve`], with hyper reading the request: `upgrade` answers it.
///
/// # Errors
///
/// As [`serve`].
pub async fn serve_with_hyper(
    upgrade: fn(Request<Incoming>) -> Response<Empty<Bytes>>,
) -> io::Result<()> {
    serve(move |stream| async move {
        let service = service_fn(async |request| Ok::<_, Infallible>(upgrade(request)));
        // A connection that ends early is the client's affair, which checks every reply.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
    })
    .await
}

/// Accepts connections on smol and hands each to `serve`, in a task of its own.
///
/// The tasks are spawned just as in the example of anyws on smol, so that the executor costs
/// all of them the same.
///
/// # Errors
///
/// As [`serve`].
pub fn serve_on_smol<F>(serve: impl Fn(smol::net::TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    smol::block_on(async {
        let listener = smol::net::TcpListener::bind(address()).await?;
        println!("listening on ws://{}/", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            smol::spawn(serve(stream)).detach();
        }
    })
}

/// Sends each message for which `is_data` holds back at once, as the READMEs do.
pub async fn echo<S, M, E>(mut socket: S, is_data: impl Fn(&M) -> bool)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        if is_data(&message) && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// Buffers the answers as long as there is something to read, and flushes when there is not.
pub async fn echo_in_bursts<S, M, E>(mut socket: S, is_data: impl Fn(&M) -> bool)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    while let Some(first) = socket.next().await {
        let mut next = Some(first);
        while let Some(received) = next {
            let Ok(message) = received else { return };
            if is_data(&message) && socket.feed(message).await.is_err() {
                return;
            }
            next = socket.next().now_or_never().flatten();
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}

/// Like [`echo_in_bursts`], for a library that flushes whenever the next message is asked for:
/// takes what is ready first, and answers it then.
pub async fn echo_in_chunks<S, M, E>(mut socket: S, is_data: impl Fn(&M) -> bool)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    let mut received = Vec::with_capacity(CHUNK);
    while let Some(first) = socket.next().await {
        let mut next = Some(first);
        while let Some(message) = next {
            let Ok(message) = message else { return };
            received.push(message);
            if received.len() == CHUNK {
                break;
            }
            next = socket.next().now_or_never().flatten();
        }
        for message in received.drain(..) {
            if is_data(&message) && socket.feed(message).await.is_err() {
                return;
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}
