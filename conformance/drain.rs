//! Drains a server that has many sockets, and checks what its clients see.
//!
//! `cargo run --example drain --features full -- SERVER COUNT`, where SERVER is one of `axum`,
//! `volo`, `hyper_tokio`, `hyper_smol`, `tokio` and `smol`.
//!
//! The server is a process of its own, which this one starts. COUNT clients open a socket each.
//! There are 5 more of each kind that does not do what it should: handlers that never return, and
//! peers that do not answer the Close, do not read, send for ever, or answer but keep the TCP
//! connection open. Then the server is stopped the way its guide says. Polite clients have to get
//! Close 1001 at once, and stuck handlers have to send it at the deadline. By then all others have
//! to be gone.

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

/// How many there are of each kind that misbehaves.
const FEW: usize = 5;
/// Of these, the deadline ends: stuck handlers, and peers that are mute, deaf or send for ever.
const ABORTED: usize = 4 * FEW;
/// What a server of 10,000 sockets may take to send the last Close.
const TOLD: Duration = Duration::from_millis(300);
/// What it may take until the last socket has ended.
const GONE: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(6);
/// A server that takes longer has hung.
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

/// Sends until it fails.
async fn send(mut socket: WebSocket) {
    let message = anyws::Bytes::from(vec![7; 64 * 1024]);
    while socket.send(message.clone().into()).await.is_ok() {}
    // The peer may still answer.
    handle_socket(socket).await;
}

/// Runs the handler of a path.
async fn route(path: &str, socket: WebSocket) {
    match path {
        "/stuck" => stuck(socket).await,
        "/send" => send(socket).await,
        _ => handle_socket(socket).await,
    }
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
    use axum::{Extension, Router, http::Uri};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let tracker = Tracker::new();
    let handler = async |ws: anyws::axum::WebSocketUpgrade, uri: Uri| {
        ws.on_upgrade(async move |socket| route(uri.path(), socket).await)
    };
    let app = Router::new()
        .fallback(handler)
        .layer(Extension(tracker.clone()));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            stop().await;
            report(&tracker.drain(drain()).await);
        })
        .await?;
    Ok(())
}

async fn serve_volo() -> Outcome<()> {
    use http::Uri;
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
    let handler = async |uri: Uri, ws: anyws::volo::WebSocketUpgrade| {
        ws.on_upgrade(async move |socket| route(uri.path(), socket).await)
    };
    let app: Router = ["/", "/stuck", "/send"]
        .into_iter()
        .fold(Router::new(), |app, path| app.route(path, any(handler)));
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
            Ok(ws) => {
                let uri = request.uri().clone();
                ws.on_upgrade(async move |socket| route(uri.path(), socket).await)
            }
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
        let path = handshake.request().uri().path().to_owned();
        let socket = handshake.accept().await?;
        route(&path, socket).await;
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

/// All clients, connected.
struct Clients {
    polite: Vec<TcpStream>,
    stuck: Vec<TcpStream>,
    mute: Vec<TcpStream>,
    deaf: Vec<TcpStream>,
    endless: Vec<TcpStream>,
    staying: Vec<TcpStream>,
}

/// When clients saw something, after the server was told to stop.
struct Times {
    told: Duration,
    gone: Duration,
    aborted: Duration,
}

impl Clients {
    async fn open(address: SocketAddr, count: usize) -> Outcome<Self> {
        Ok(Self {
            polite: open_all(address, "/", count).await?,
            stuck: open_all(address, "/stuck", FEW).await?,
            mute: open_all(address, "/", FEW).await?,
            deaf: open_all(address, "/send", FEW).await?,
            endless: open_all(address, "/", FEW).await?,
            staying: open_all(address, "/", FEW).await?,
        })
    }

    /// Lets all of them do what they do, while the server stops.
    async fn watch(self, stop: impl FnOnce() -> Outcome<()>) -> Outcome<Times> {
        let endless: Vec<_> = self
            .endless
            .into_iter()
            .map(flood)
            .map(tokio::spawn)
            .collect();
        let start = Instant::now();
        stop()?;
        let stuck = tokio::spawn(join_all(self.stuck.into_iter().map(mute)));
        let silent = tokio::spawn(join_all(self.mute.into_iter().map(mute)));
        let staying = tokio::spawn(join_all(self.staying.into_iter().map(stay)));
        let polite = all(join_all(self.polite.into_iter().map(answer)).await)?;
        let since = |moment: Instant| moment - start;
        let told = polite.iter().map(|seen| since(seen.close)).max();
        let gone = polite.iter().map(|seen| since(seen.end)).max();
        let staying = all(staying.await?)?;
        if staying.iter().any(|seen| since(seen.end) > GONE) {
            return Err("a peer that has closed is kept".into());
        }
        let silent = all(silent.await?)?;
        if silent.iter().any(|seen| since(seen.end) < DEADLINE) {
            return Err("a peer that does not answer was dropped before the deadline".into());
        }
        let stuck = all(stuck.await?)?;
        let aborted = stuck.iter().map(|seen| since(seen.close)).min();
        for client in endless {
            client.await??;
        }
        drop(self.deaf);
        let [told, gone, aborted] = [told, gone, aborted].map(Option::unwrap_or_default);
        Ok(Times {
            told,
            gone,
            aborted,
        })
    }
}

fn all(seen: Vec<Outcome<Seen>>) -> Outcome<Vec<Seen>> {
    seen.into_iter().collect()
}

fn check(server: &str, count: usize) -> Outcome<()> {
    let clients = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut process, address) = Server::start(server)?;
    let times = clients.block_on(async {
        let clients = Clients::open(address, count).await?;
        clients.watch(|| process.stop(server)).await
    })?;
    let line = process.line()?;
    let status = process.process.wait()?;
    println!(
        "{server}: {count} sockets told within {} ms and gone within {} ms, {ABORTED} aborted \
         after {} ms; the server says: {line}",
        times.told.as_millis(),
        times.gone.as_millis(),
        times.aborted.as_millis()
    );
    let mut numbers = line.split(' ').map(str::parse::<usize>);
    if (numbers.next(), numbers.next()) != (Some(Ok(count + FEW)), Some(Ok(ABORTED))) {
        return Err("the server has counted otherwise".into());
    }
    if !status.success() {
        return Err(format!("the server ended with {status}").into());
    }
    if times.aborted < DEADLINE {
        return Err("a stuck handler was dropped before the deadline".into());
    }
    if times.gone > GONE {
        return Err(format!("that is more than {} ms", GONE.as_millis()).into());
    }
    if times.told > TOLD {
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

/// Waits for the Close of a drain.
async fn read_close(stream: &mut TcpStream) -> Outcome<Instant> {
    let expected = b"\x88\x0f\x03\xe9shutting down";
    let mut close = [0; 17];
    timeout(PATIENCE, stream.read_exact(&mut close)).await??;
    if &close != expected {
        return Err(format!("not the Close of a drain: {close:?}").into());
    }
    Ok(Instant::now())
}

/// Waits for the end of a stream on which nothing follows.
async fn read_end(stream: &mut TcpStream) -> Outcome<Instant> {
    match timeout(PATIENCE, stream.read_u8()).await? {
        Ok(byte) => Err(format!("byte {byte} behind the Close").into()),
        // The end, or a reset.
        Err(_) => Ok(Instant::now()),
    }
}

/// Answers the Close, as a client does, and closes after the server.
async fn answer(stream: TcpStream) -> Outcome<Seen> {
    // Dropping the stream closes it.
    Ok(stay_open(stream).await?.0)
}

/// Answers the Close, and keeps the TCP connection open for longer than the drain lasts.
async fn stay(stream: TcpStream) -> Outcome<Seen> {
    let (seen, stream) = stay_open(stream).await?;
    tokio::time::sleep(DEADLINE + Duration::from_secs(1)).await;
    drop(stream);
    Ok(seen)
}

async fn stay_open(mut stream: TcpStream) -> Outcome<(Seen, TcpStream)> {
    let close = read_close(&mut stream).await?;
    stream.write_all(b"\x88\x82\0\0\0\0\x03\xe9").await?;
    let end = read_end(&mut stream).await?;
    Ok((Seen { close, end }, stream))
}

/// Does not answer the Close.
async fn mute(mut stream: TcpStream) -> Outcome<Seen> {
    let close = read_close(&mut stream).await?;
    let end = read_end(&mut stream).await?;
    Ok(Seen { close, end })
}

/// Sends messages until the stream fails, and reads nothing.
async fn flood(mut stream: TcpStream) -> Outcome<()> {
    let mut frame = b"\x82\xfe\x04\0\0\0\0\0".to_vec();
    frame.resize(8 + 1024, 7);
    let send = async { while stream.write_all(&frame).await.is_ok() {} };
    Ok(timeout(PATIENCE, send).await?)
}
