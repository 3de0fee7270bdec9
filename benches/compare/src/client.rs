//! What the clients here have in common: the command line, connections and the loops.
//!
//! ```text
//! CLIENT ADDRESS --client CONNECTIONS [--exchange DEPTH] [--certificate FILE] [--tuned]
//! ```
//!
//! With `--exchange` each connection takes so many messages and sends them back, again and again.
//! Without, it is dropped after its opening handshake, and the next one is opened. With
//! `--certificate` all of it goes over TLS. `--tuned` is as for the [servers](crate::server).

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use anyws::{ClientBuilder, WebSocket};
use futures_util::future::Either as EitherFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::either::Either;

use crate::{Result, server, tls};

/// The option that asks for a client; its value is the number of connections.
pub const CLIENT: &str = "--client";

/// The option that asks for messages; its value is how many are taken before they are sent back.
pub const EXCHANGE: &str = "--exchange";

/// The option that asks for TLS; its value is the file of the certificate to trust.
pub const CERTIFICATE: &str = "--certificate";

/// What a client says when a connection ends.
pub const GONE: &str = "the load has ended a connection";

/// A stream on tokio, as most libraries have one of their own.
pub type TokioStream = Either<TcpStream, Box<tokio_rustls::client::TlsStream<TcpStream>>>;

/// A stream on smol.
pub type SmolStream = EitherFuture<
    smol::net::TcpStream,
    Box<futures_rustls::client::TlsStream<smol::net::TcpStream>>,
>;

/// What a client was asked to do.
#[derive(Debug)]
pub struct Plan {
    pub address: SocketAddr,
    connections: usize,
    /// How many messages are taken before they are sent back; `None` for handshakes alone.
    depth: Option<usize>,
    pub tls: Option<Arc<ClientConfig>>,
}

/// What a library does for a client.
#[derive(Debug)]
pub struct Library<S, C, E> {
    /// Opens a connection.
    pub connect: fn(Arc<Plan>) -> C,
    /// Sends back what it takes, so many messages at a time.
    pub exchange: fn(S, usize) -> E,
    /// Drops a connection, without a closing handshake.
    pub discard: fn(S),
}

impl<S, C, E> Clone for Library<S, C, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, C, E> Copy for Library<S, C, E> {}

impl Plan {
    /// Reads the command line; `None` if it does not ask for a client.
    ///
    /// # Errors
    ///
    /// When it is not understood.
    pub fn read() -> Result<Option<Arc<Self>>> {
        let Some(connections) = value(CLIENT) else {
            return Ok(None);
        };
        Ok(Some(Arc::new(Self {
            address: server::address().parse()?,
            connections: connections.parse()?,
            depth: value(EXCHANGE).map(|depth| depth.parse()).transpose()?,
            tls: value(CERTIFICATE)
                .map(|file| tls::client(&file))
                .transpose()?,
        })))
    }

    /// Tells whether opening handshakes are all that is asked for.
    #[must_use]
    pub fn is_of_handshakes(&self) -> bool {
        self.depth.is_none()
    }

    #[must_use]
    pub fn uri(&self) -> String {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}/", self.address)
    }

    /// Connects on tokio, for libraries that leave it to others.
    ///
    /// # Errors
    ///
    /// When the load cannot be reached.
    pub async fn tokio_stream(&self) -> Result<TokioStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else {
            return Ok(Either::Left(stream));
        };
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(tls::server_name(), stream).await?;
        Ok(Either::Right(Box::new(stream)))
    }

    /// The same on smol.
    ///
    /// # Errors
    ///
    /// As [`tokio_stream`](Self::tokio_stream).
    pub async fn smol_stream(&self) -> Result<SmolStream> {
        let stream = smol::net::TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else {
            return Ok(EitherFuture::Left(stream));
        };
        let connector = futures_rustls::TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(tls::server_name(), stream).await?;
        Ok(EitherFuture::Right(Box::new(stream)))
    }
}

fn value(option: &str) -> Option<String> {
    env::args().skip_while(|argument| argument != option).nth(1)
}

/// Runs a client on tokio until one of its connections fails.
///
/// # Errors
///
/// That of the connection. They all fail once the load has gone.
pub async fn run<S, C, E>(plan: Arc<Plan>, library: Library<S, C, E>) -> Result<()>
where
    S: Send + 'static,
    C: Future<Output = Result<S>> + Send + 'static,
    E: Future<Output = Result<()>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for _ in 0..plan.connections {
        tasks.spawn(work(Arc::clone(&plan), library));
    }
    match tasks.join_next().await {
        Some(ended) => ended?,
        None => Err("not one connection".into()),
    }
}

/// Runs a client on smol until one of its connections fails.
///
/// # Errors
///
/// As [`run`].
pub fn run_on_smol<S, C, E>(plan: &Arc<Plan>, library: Library<S, C, E>) -> Result<()>
where
    S: Send + 'static,
    C: Future<Output = Result<S>> + Send + 'static,
    E: Future<Output = Result<()>> + Send + 'static,
{
    let mut tasks: FuturesUnordered<_> = (0..plan.connections)
        .map(|_| smol::spawn(work(Arc::clone(plan), library)))
        .collect();
    smol::block_on(tasks.next()).unwrap_or_else(|| Err("not one connection".into()))
}

async fn work<S, C, E>(plan: Arc<Plan>, library: Library<S, C, E>) -> Result<()>
where
    C: Future<Output = Result<S>>,
    E: Future<Output = Result<()>>,
{
    if let Some(depth) = plan.depth {
        let socket = (library.connect)(plan).await?;
        return (library.exchange)(socket, depth).await;
    }
    loop {
        (library.discard)((library.connect)(Arc::clone(&plan)).await?);
    }
}

/// Takes so many messages and sends each back at once, as the READMEs do; tuned, buffers them and
/// flushes once.
///
/// # Errors
///
/// When the connection fails or ends.
pub async fn exchange<S, M, E>(mut socket: S, depth: usize, is_data: fn(&M) -> bool) -> Result<()>
where
    S: Stream<Item = std::result::Result<M, E>> + Sink<M> + Unpin,
    S::Error: Error + Send + Sync + 'static,
    E: Error + Send + Sync + 'static,
{
    let is_tuned = server::is_tuned();
    let mut messages = Vec::with_capacity(depth);
    loop {
        while messages.len() < depth {
            let message = socket.next().await.ok_or(GONE)??;
            if is_data(&message) {
                messages.push(message);
            }
        }
        for message in messages.drain(..) {
            if is_tuned {
                socket.feed(message).await?;
            } else {
                socket.send(message).await?;
            }
        }
        if is_tuned {
            socket.flush().await?;
        }
    }
}

/// anyws, which connects by itself on the runtime that runs it.
#[must_use]
pub fn anyws() -> Library<
    WebSocket,
    impl Future<Output = Result<WebSocket>> + Send,
    impl Future<Output = Result<()>> + Send,
> {
    Library {
        connect: connect_by_anyws,
        exchange: exchange_by_anyws,
        discard: |mut socket| socket.abort(),
    }
}

async fn connect_by_anyws(plan: Arc<Plan>) -> Result<WebSocket> {
    let mut builder = ClientBuilder::new(plan.uri());
    if let Some(config) = &plan.tls {
        builder = builder.tls(Arc::clone(config));
    }
    let (socket, _) = builder.connect().await?;
    Ok(socket)
}

/// Flushes nothing itself: `next_data` does before it waits.
async fn exchange_by_anyws(mut socket: WebSocket, depth: usize) -> Result<()> {
    let mut messages = Vec::with_capacity(depth);
    loop {
        while messages.len() < depth {
            messages.push(socket.next_data().await.ok_or(GONE)??);
        }
        for message in messages.drain(..) {
            socket.feed(message).await?;
        }
    }
}
