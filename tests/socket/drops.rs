//! A socket that is dropped: what its stream takes is written, whatever becomes of its runtime.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use anyws::{Message, WebSocket, WebSocketConfig, testing::duplex};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, executor::block_on};
use support::{bounded, frames::server, runtimes, scripted::Scripted, still::Still};

/// What a dropped socket writes behind what was fed.
const EXPECTED: &[u8] = b"\x81\x0alast words\x88\x02\x03\xe8";

/// Feeds the last words, drops the socket, and returns all that its peer reads.
fn feed_and_drop(config: &WebSocketConfig, drop_it: impl FnOnce(WebSocket)) -> Vec<u8> {
    let (mut near, far) = duplex();
    let mut socket = block_on(server(far, config));
    block_on(socket.feed("last words".into())).unwrap();
    drop_it(socket);
    let mut bytes = Vec::new();
    block_on(near.read_to_end(&mut bytes)).unwrap();
    bytes
}

#[cfg(any(feature = "rt-smol", feature = "rt-tokio"))]
fn on(runtime: impl anyws::Runtime) -> WebSocketConfig {
    WebSocketConfig::new().set_runtime(Arc::new(runtime))
}

#[test]
fn what_the_stream_takes_is_written_by_a_runtime_that_drops_its_tasks() {
    bounded(|| assert_eq!(feed_and_drop(&Still::default().config(), drop), EXPECTED));
}

#[test]
fn what_the_stream_takes_is_written_before_a_task_has_run() {
    bounded(|| {
        let still = Still::keeping();
        let bytes = feed_and_drop(&still.config(), |socket| {
            still.tasks();
            drop(socket);
            // The task would have gone on to wait for the peer; it is dropped instead.
            assert_eq!(still.tasks().len(), 1);
        });
        assert_eq!(bytes, EXPECTED);
    });
}

#[cfg(feature = "rt-tokio")]
mod tokio_ends {
    use std::time::Duration;

    use anyws::TokioRuntime;
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn at_the_end_of_block_on() {
        bounded(|| {
            let tokio = Builder::new_current_thread().enable_all().build().unwrap();
            let config = on(TokioRuntime::new(tokio.handle().clone()));
            let bytes = feed_and_drop(&config, |socket| {
                tokio.block_on(async { drop(socket) });
                drop(tokio);
            });
            assert_eq!(bytes, EXPECTED);
        });
    }

    #[test]
    fn by_the_shutdown_of_the_runtime_that_runs_the_handler() {
        bounded(|| {
            let tokio = Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let config = on(TokioRuntime::new(tokio.handle().clone()));
            let bytes = feed_and_drop(&config, |socket| {
                tokio.spawn(async move {
                    std::future::pending::<()>().await;
                    drop(socket);
                });
                tokio.shutdown_timeout(Duration::from_secs(5));
            });
            assert_eq!(bytes, EXPECTED);
        });
    }

    #[test]
    fn after_the_end_of_the_runtime() {
        bounded(|| {
            let tokio = Builder::new_current_thread().enable_all().build().unwrap();
            let config = on(TokioRuntime::new(tokio.handle().clone()));
            drop(tokio);
            assert_eq!(feed_and_drop(&config, drop), EXPECTED);
        });
    }

    /// tokio lets a task do 128 operations; a write is pending then, though the stream has room.
    #[test]
    fn by_a_task_that_has_used_up_its_budget() {
        bounded(|| {
            for has_timers in [false, true] {
                let mut builder = Builder::new_current_thread();
                builder.enable_io();
                if has_timers {
                    builder.enable_time();
                }
                let tokio = builder.build().unwrap();
                tokio.block_on(async {
                    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let address = listener.local_addr().unwrap();
                    let near = tokio::net::TcpStream::connect(address);
                    let (near, far) = futures::join!(near, listener.accept());
                    let (mut near, far) = (near.unwrap(), far.unwrap().0);
                    let mut socket = server(
                        anyws::io::TokioIo::new(far),
                        &on(TokioRuntime::current().unwrap()),
                    )
                    .await;
                    socket.feed("last words".into()).await.unwrap();
                    tokio::spawn(async move {
                        while tokio::task::coop::has_budget_remaining() {
                            tokio::task::coop::consume_budget().await;
                        }
                        drop(socket);
                    })
                    .await
                    .unwrap();
                    let mut bytes = [0; EXPECTED.len()];
                    tokio::io::AsyncReadExt::read_exact(&mut near, &mut bytes)
                        .await
                        .unwrap();
                    assert_eq!(bytes, EXPECTED, "timers: {has_timers}");
                });
            }
        });
    }
}

#[cfg(feature = "rt-smol")]
mod smol_ends {
    use anyws::SmolRuntime;

    use super::*;

    #[test]
    fn behind_the_last_run_of_an_executor() {
        bounded(|| {
            let executor = Arc::new(smol::Executor::new());
            let bytes = feed_and_drop(&on(SmolRuntime::with_executor(&executor)), |socket| {
                smol::block_on(executor.run(async { drop(socket) }));
                drop(executor);
            });
            assert_eq!(bytes, EXPECTED);
        });
    }

    #[test]
    fn after_the_end_of_its_executor() {
        bounded(|| {
            let executor = Arc::new(smol::Executor::new());
            let config = on(SmolRuntime::with_executor(&executor));
            drop(executor);
            assert_eq!(feed_and_drop(&config, drop), EXPECTED);
        });
    }
}

/// Takes so many bytes with a write, and is never pending.
#[derive(Clone, Default)]
struct Small(Arc<Mutex<Vec<u8>>>);

impl AsyncRead for Small {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Small {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let length = buf.len().min(100);
        self.0.lock().unwrap().extend(&buf[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Nobody asks for another turn.
#[test]
fn all_that_the_stream_takes_is_written_wherever_the_turn_of_the_socket_ends() {
    for (messages, is_fed) in (240..=270).flat_map(|count| [(count, false), (count, true)]) {
        let stream = Small::default();
        let mut socket = block_on(server(stream.clone(), &Still::default().config()));
        block_on(async {
            for _ in 0..messages {
                if is_fed {
                    socket.feed("x".into()).await.unwrap();
                } else {
                    socket.send("x".into()).await.unwrap();
                }
            }
            socket.feed(Message::binary(vec![7; 60_000])).await.unwrap();
        });
        drop(socket);
        let written = stream.0.lock().unwrap().len();
        let expected = messages * 3 + 4 + 60_000 + 4;
        assert_eq!(
            written, expected,
            "after {messages} messages, fed: {is_fed}"
        );
    }
}

runtimes! {
    async fn a_socket_that_has_closed_holds_its_stream_no_more(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let mut socket = server(far, &support::config(&rt)).await;
        let mut peer = support::frames::Peer::new(near);
        let (closed, _) = futures::join!(socket.close(None), peer.see_off());
        closed.unwrap();
        assert!(script.is_dropped(), "the descriptor is open as long as the socket lives");
        assert!(socket.next().await.unwrap().unwrap().is_close());
    }
}
