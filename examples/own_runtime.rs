//! An echo server on a custom runtime: bare threads, one for each task and each timer.
//!
//! `cargo run --example own_runtime [ADDRESS]`
//!
//! It needs no feature of anyws. The TCP streams are smol's, which run on any executor. Any other
//! stream works too if it is `futures_io::AsyncRead + AsyncWrite` and its `poll_close` shuts down
//! the write side. A bare `async_io::Async<TcpStream>` does not do that: clients would wait.

use std::{
    pin::Pin,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use anyws::{Runtime, Sleep, WebSocket, WebSocketConfig};
use futures::{executor::block_on, future::BoxFuture};
use smol::net::{TcpListener, TcpStream};

#[derive(Debug)]
struct Threads;

impl Runtime for Threads {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        // `thread::spawn` would panic if no thread is left, and a runtime must not panic.
        if let Err(error) = thread::Builder::new().spawn(|| block_on(task)) {
            eprintln!("no thread: {error}");
        }
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let (alarms, requests) = mpsc::channel();
        self.spawn(Box::pin(async move { ring(&requests) }));
        Box::pin(Timer { deadline, alarms })
    }
}

/// A deadline, and the task to wake.
type Alarm = (Instant, Waker);

/// Wakes at each alarm, unless another replaces it. Ends when its timer is dropped.
fn ring(requests: &mpsc::Receiver<Alarm>) {
    let mut request = requests.recv().ok();
    while let Some((deadline, waker)) = request {
        let wait = deadline.saturating_duration_since(Instant::now());
        request = match requests.recv_timeout(wait) {
            Ok(other) => Some(other),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                waker.wake();
                requests.recv().ok()
            }
        };
    }
}

struct Timer {
    deadline: Instant,
    alarms: mpsc::Sender<Alarm>,
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let alarm = (self.deadline, cx.waker().clone());
        // Without its thread, a timer could wake nobody, so nothing may wait for it.
        if self.deadline <= Instant::now() || self.alarms.send(alarm).is_err() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Sleep for Timer {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.deadline = deadline;
    }
}

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

async fn serve(stream: TcpStream, runtime: Arc<dyn Runtime>) -> anyws::Result<()> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::new().set_runtime(runtime);
    echo(anyws::accept(stream, config).await?).await;
    Ok(())
}

fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let runtime: Arc<dyn Runtime> = Arc::new(Threads);
    block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on ws://{}/", listener.local_addr()?);
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    eprintln!("no connection: {error}");
                    // For example too many open files: do not stop, and do not spin.
                    runtime
                        .sleep_until(runtime.now() + Duration::from_millis(100))
                        .await;
                    continue;
                }
            };
            let serving = serve(stream, Arc::clone(&runtime));
            runtime.spawn(Box::pin(async {
                if let Err(error) = serving.await {
                    eprintln!("{error:#}");
                }
            }));
        }
    })
}
