//! The server of the check `soak`: echoes, and says how many tasks it has.
//!
//! `cargo run --example soak_server --features rt-tokio,rt-smol -- RUNTIME ADDRESS`, where the
//! runtime is `tokio` or `smol`. smol takes the number of its threads from `SMOL_THREADS`.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyws::{
    BoxError, Incoming, Io, Metrics, Runtime, ServerHandshake, Sleep, SmolRuntime, TokioRuntime,
    Tracker, WebSocket, WebSocketConfig, http::Response, io::TokioIo,
};
use futures::future::BoxFuture;

/// Short enough for a silent client to be given up within the life of others.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// How many threads tokio has: wakeups cross from one to the other.
const THREADS: usize = 2;

/// The pause after a failed accept, for example because of too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Counts the tasks that are alive.
type CountTasks = Arc<dyn Fn() -> usize + Send + Sync>;

/// Metrics that nobody reads: the connections record all the same.
#[derive(Debug)]
struct Unread;

impl Metrics for Unread {}

/// The settings of all sockets.
fn config(runtime: Arc<dyn Runtime>) -> WebSocketConfig {
    WebSocketConfig::new()
        .set_runtime(runtime)
        .set_keepalive(KEEPALIVE, KEEPALIVE)
        .set_tracker(Tracker::new().metrics(Unread))
}

/// Sends each message back unchanged.
async fn echo(mut socket: WebSocket) -> anyws::Result<()> {
    while let Some(message) = socket.next_data().await {
        socket.feed(message?).await?;
    }
    Ok(())
}

/// Serves a socket. Plain HTTP is answered with the number of tasks.
async fn serve(
    stream: impl Io + 'static,
    config: WebSocketConfig,
    tasks: CountTasks,
) -> anyws::Result<()> {
    match ServerHandshake::read_any(stream, config).await? {
        Incoming::WebSocket(handshake) => echo(handshake.accept().await?).await,
        Incoming::Http(plain) => plain.respond(Response::new(tasks().to_string())).await,
        _ => Ok(()),
    }
}

/// Serves what `accept` returns, for ever.
async fn run<T: Io + 'static>(
    runtime: Arc<dyn Runtime>,
    tasks: CountTasks,
    accept: impl AsyncFn() -> io::Result<T>,
) -> ! {
    let config = config(Arc::clone(&runtime));
    loop {
        match accept().await {
            Ok(stream) => {
                let served = serve(stream, config.clone(), Arc::clone(&tasks));
                runtime.spawn(Box::pin(async {
                    // Clients leave in all ways, and the load knows what each of them has to see.
                    let _ = served.await;
                }));
            }
            Err(error) => {
                eprintln!("no connection: {error}");
                runtime.sleep_until(runtime.now() + PAUSE).await;
            }
        }
    }
}

/// smol, which does not count its tasks itself.
#[derive(Debug, Default)]
struct Counting {
    smol: SmolRuntime,
    /// Each task has a clone.
    alive: Arc<()>,
}

impl Runtime for Counting {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let alive = Arc::clone(&self.alive);
        self.smol.spawn(Box::pin(async move {
            task.await;
            drop(alive);
        }));
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.smol.sleep_until(deadline)
    }
}

fn on_tokio(address: &str) -> Result<(), BoxError> {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()?;
    tokio.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        println!("listening on ws://{}/", listener.local_addr()?);
        let runtime = Arc::new(TokioRuntime::current()?);
        let metrics = tokio::runtime::Handle::current().metrics();
        let tasks = Arc::new(move || metrics.num_alive_tasks());
        run(runtime, tasks, async || {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
        .await
    })
}

fn on_smol(address: &str) -> Result<(), BoxError> {
    smol::block_on(async {
        let listener = smol::net::TcpListener::bind(address).await?;
        println!("listening on ws://{}/", listener.local_addr()?);
        let runtime = Arc::new(Counting::default());
        let alive = Arc::clone(&runtime.alive);
        // The runtime has one of them, and so has this.
        let tasks = Arc::new(move || Arc::strong_count(&alive) - 2);
        run(runtime, tasks, async || {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
        .await
    })
}

fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [runtime, address] = &arguments[..] else {
        return Err("usage: soak_server (tokio | smol) ADDRESS".into());
    };
    match &runtime[..] {
        "tokio" => on_tokio(address),
        "smol" => on_smol(address),
        other => Err(format!("{other} is none of the runtimes tokio and smol").into()),
    }
}
