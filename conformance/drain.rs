//! Drains a server that has many sockets, and checks what its clients see.
//!
//! `cargo run --example drain --features full -- SERVER COUNT`, where SERVER is one of `axum`,
//! `volo`, `hyper_tokio`, `hyper_smol`, `tokio` and `smol`.
//!
//! The server is a process of its own, which this one starts. COUNT clients open a socket each, and
//! 5 more get handlers that never return. Then the server is stopped the way its guide says. Each
//! client has to get Close 1001: in time, or, from the stuck handlers, at the deadline.

use std::{
    convert::Infallible,
    error::Error,
    future::{Future, pending},
    io::{BufRead, BufReader},
    net::SocketAddr,
    pin::pin,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyws::{Drain, Drained, Io, Tracker, WebSocket, WebSocketConfig, WebSocketUpgrade};
use futures::{
    channel::oneshot,
    future::{Either, join_all, select},
};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How many handlers never return.
const STUCK: usize = 5;
/// What a server of 10,000 sockets may take to send the last Close.
const TOLD: Duration = Duration::from_millis(300);
/// What it may take until the last socket has ended.
const GONE: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(6);
/// Whoever takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--serve", server] => serve(server),
        [server, count] => check(server, count.parse()?),
        _ => Err("usage: drain SERVER COUNT".into()),
    }
}

// The server.

async fn handle_socket(mut socket: WebSocket) {
    while socket.next().await.is_some() {}
}

async fn stuck(_socket: WebSocket) {
    pending::<()>().await;
}

fn drain() -> Drain {
    Drain::new().deadline(DEADLINE)
}

fn report(drained: &Drained) {
    let Drained {
        closed, aborted, ..
    } = drained;
    println!("{closed} {aborted} {}", drained.took.as_millis());
}

/// Is ready once the other process has written a line.
async fn stop() {
    let (stop, stopped) = oneshot::channel();
    thread::spawn(|| {
        let _ = std::io::stdin().read_line(&mut String::new());
        let _ = stop.send(());
    });
    let _ = stopped.await;
}

fn serve(server: &str) -> Outcome<()> {
    match server {
        "axum" => on_tokio(serve_axum()),
        "volo" => on_tokio(serve_volo()),
        "hyper_tokio" => on_tokio(serve_tokio(serve_hyper)),
        "hyper_smol" => smol::block_on(serve_smol(serve_hyper)),
        "tokio" => on_tokio(serve_tokio(serve_bare)),
        "smol" => smol::block_on(serve_smol(serve_bare)),
        _ => Err("no such server".into()),
    }
}

fn on_tokio(serve: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio.block_on(serve)
}

async fn serve_axum() -> Outcome<()> {
    use axum::{Extension, Router, routing::any};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let tracker = Tracker::new();
    let app = Router::new()
        .route(
            "/",
            any(async |ws: anyws::axum::WebSocketUpgrade| ws.on_upgrade(handle_socket)),
        )
        .route(
            "/stuck",
            any(async |ws: anyws::axum::WebSocketUpgrade| ws.on_upgrade(stuck)),
        )
        .layer(Extension(tracker.clone()));
    axum::serve(listener, app)
        .with_graceful_shutdown(stop())
        .await?;
    report(&tracker.drain(drain()).await);
    Ok(())
}

async fn serve_volo() -> Outcome<()> {
    use volo_http::{
        server::{
            Server,
            route::{Router, any},
        },
        utils::Extension,
    };

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let tracker = Tracker::new();
    let app: Router = Router::new()
        .route(
            "/",
            any(async |ws: anyws::volo::WebSocketUpgrade| ws.on_upgrade(handle_socket)),
        )
        .route(
            "/stuck",
            any(async |ws: anyws::volo::WebSocketUpgrade| ws.on_upgrade(stuck)),
        );
    Server::new(app.layer(Extension(tracker.clone())))
        .register_shutdown_hook(|| Box::pin(async move { report(&tracker.drain(drain()).await) }))
        .run(volo::net::incoming::DefaultIncoming::from(listener))
        .await
}

async fn serve_tokio<F>(
    connection: impl Fn(anyws::io::TokioIo<TcpStream>, Tracker) -> F,
) -> Outcome<()>
where
    F: Future<Output: Send> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let tracker = Tracker::new();
    let mut stop = pin!(stop());
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = &mut stop => break,
        };
        tokio::spawn(connection(anyws::io::TokioIo::new(stream), tracker.clone()));
    }
    drop(listener);
    report(&tracker.drain(drain()).await);
    Ok(())
}

async fn serve_smol<F>(connection: impl Fn(smol::net::TcpStream, Tracker) -> F) -> Outcome<()>
where
    F: Future<Output: Send> + Send + 'static,
{
    let listener = smol::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let tracker = Tracker::new();
    let mut stop = pin!(stop());
    loop {
        let (stream, _) = match select(pin!(listener.accept()), &mut stop).await {
            Either::Left((accepted, _)) => accepted?,
            Either::Right(_) => break,
        };
        smol::spawn(connection(stream, tracker.clone())).detach();
    }
    drop(listener);
    report(&tracker.drain(drain()).await);
    Ok(())
}

async fn serve_hyper(stream: impl Io + 'static, tracker: Tracker) -> Result<(), hyper::Error> {
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(tracker.clone());
        let response: Response<String> = match WebSocketUpgrade::from_request(&mut request) {
            Ok(ws) if request.uri().path() == "/stuck" => ws.on_upgrade(stuck),
            Ok(ws) => ws.on_upgrade(handle_socket),
            Err(rejection) => rejection.into_response(),
        };
        async { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .serve_connection(smol_hyper::rt::FuturesIo::new(stream), service)
        .with_upgrades()
        .await
}

async fn serve_bare(stream: impl Io + 'static, tracker: Tracker) -> Option<anyws::Result<()>> {
    let config = WebSocketConfig::new().set_tracker(tracker.clone());
    let serve = async {
        let handshake = anyws::ServerHandshake::read(stream, config).await?;
        let is_stuck = handshake.request().uri().path() == "/stuck";
        let socket = handshake.accept().await?;
        if is_stuck {
            stuck(socket).await;
        } else {
            handle_socket(socket).await;
        }
        Ok(())
    };
    tracker.guard(serve).await
}

// The clients.

/// A server in a process of its own.
struct Server {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(server: &str) -> Outcome<(Self, SocketAddr)> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--serve", server])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("it has no output")?;
        let mut this = Self {
            process,
            lines: BufReader::new(output).lines(),
        };
        let address = this.line()?.parse()?;
        Ok((this, address))
    }

    fn line(&mut self) -> Outcome<String> {
        Ok(self.lines.next().ok_or("the server has ended early")??)
    }

    /// Stops the server: Volo handles a signal by itself, the others read a line.
    fn stop(&mut self, server: &str) -> Outcome<()> {
        drop(self.process.stdin.take());
        if server == "volo" {
            let id = self.process.id().to_string();
            Command::new("kill").args(["-TERM", &id]).status()?;
        }
        Ok(())
    }
}

/// What a client saw, and when.
struct Seen {
    close: Instant,
    end: Instant,
}

fn check(server: &str, count: usize) -> Outcome<()> {
    let clients = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut process, address) = Server::start(server)?;
    let (told, gone, aborted, line) = clients.block_on(async {
        let polite = open_all(address, "/", count).await?;
        let stuck = open_all(address, "/stuck", STUCK).await?;
        let start = Instant::now();
        process.stop(server)?;
        let stuck = tokio::spawn(join_all(stuck.into_iter().map(watch)));
        let polite: Vec<_> = join_all(polite.into_iter().map(watch)).await;
        let polite = polite.into_iter().collect::<Outcome<Vec<_>>>()?;
        let told = polite.iter().map(|seen| seen.close - start).max();
        let gone = polite.iter().map(|seen| seen.end - start).max();
        let stuck = stuck.await?.into_iter().collect::<Outcome<Vec<_>>>()?;
        let aborted = stuck.iter().map(|seen| seen.close - start).min();
        let line = process.line()?;
        Outcome::Ok((told, gone, aborted, line))
    })?;
    let [told, gone, aborted] = [told, gone, aborted].map(Option::unwrap_or_default);
    let status = process.process.wait()?;
    println!(
        "{server}: {count} sockets told within {} ms and gone within {} ms, {STUCK} aborted after \
         {} ms; the server says: {line}",
        told.as_millis(),
        gone.as_millis(),
        aborted.as_millis()
    );
    let mut numbers = line.split(' ').map(str::parse::<usize>);
    let counts = (numbers.next(), numbers.next());
    if counts != (Some(Ok(count)), Some(Ok(STUCK))) {
        return Err("the server has counted otherwise".into());
    }
    if !status.success() {
        return Err(format!("the server ended with {status}").into());
    }
    if aborted < DEADLINE {
        return Err("a stuck handler was dropped before the deadline".into());
    }
    if gone > GONE {
        return Err(format!("that is more than {} ms", GONE.as_millis()).into());
    }
    if told > TOLD {
        // Not an error: the machine may have been busy, and the clients have one thread.
        println!("{server}: told later than within {} ms", TOLD.as_millis());
    }
    Ok(())
}

/// Opens sockets, some at a time: the backlog of a listener is small.
async fn open_all(address: SocketAddr, path: &str, count: usize) -> Outcome<Vec<TcpStream>> {
    let mut all = Vec::new();
    while all.len() < count {
        let some = (count - all.len()).min(100);
        for opened in join_all((0..some).map(|_| open(address, path))).await {
            all.push(opened?);
        }
    }
    Ok(all)
}

async fn open(address: SocketAddr, path: &str) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await??);
    }
    if head.starts_with(b"HTTP/1.1 101 ") {
        Ok(stream)
    } else {
        Err(String::from_utf8_lossy(&head).into())
    }
}

/// Waits for the Close, answers it, and waits for the end of the stream.
async fn watch(mut stream: TcpStream) -> Outcome<Seen> {
    let expected = b"\x88\x1d\x03\xe9the server is shutting down";
    let mut close = [0; 31];
    timeout(PATIENCE, stream.read_exact(&mut close)).await??;
    let told = Instant::now();
    if &close != expected {
        return Err(format!("not the Close of a drain: {close:?}").into());
    }
    // A client that is late is no fault of the server.
    let _ = stream.write_all(b"\x88\x82\0\0\0\0\x03\xe9").await;
    let _ = timeout(PATIENCE, stream.read_u8()).await?;
    Ok(Seen {
        close: told,
        end: Instant::now(),
    })
}
