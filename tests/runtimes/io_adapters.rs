//! The streams of tokio and hyper, seen through `futures-io`.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyws::{Message, TransportConfig, WebSocket, WebSocketConfig};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, future::join};

/// A stream that gives what it is told to, and records how it is written to.
#[derive(Debug, Default)]
struct Recorder {
    /// What a read tells: bytes, the end, or a failure; `None` keeps it waiting.
    read: Option<io::Result<&'static [u8]>>,
    calls: Vec<Call>,
}

#[derive(Debug, PartialEq, Eq)]
enum Call {
    Write(Vec<u8>),
    Vectored(Vec<Vec<u8>>),
    Flush,
    Shutdown,
}

impl Recorder {
    fn reading(read: io::Result<&'static [u8]>) -> Self {
        Self {
            read: Some(read),
            ..Self::default()
        }
    }

    fn read(&mut self, put: impl FnOnce(&[u8])) -> Poll<io::Result<()>> {
        match self.read.take() {
            None => Poll::Pending,
            Some(read) => Poll::Ready(read.map(put)),
        }
    }

    fn record(&mut self, call: Call) -> Poll<io::Result<()>> {
        self.calls.push(call);
        Poll::Ready(Ok(()))
    }

    fn write(&mut self, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.record(Call::Write(buf.to_vec()))
            .map_ok(|()| buf.len())
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let bufs: Vec<_> = bufs.iter().map(|buf| buf.to_vec()).collect();
        let length = bufs.iter().map(Vec::len).sum();
        self.record(Call::Vectored(bufs)).map_ok(|()| length)
    }
}

/// The traits of tokio and of hyper have the same methods for writing.
macro_rules! impl_write {
    ($($write:tt)*) => {
        impl $($write)* for Recorder {
            fn poll_write(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.write(buf)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.write_vectored(bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                self.record(Call::Flush)
            }

            fn poll_shutdown(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                self.record(Call::Shutdown)
            }
        }
    };
}

#[cfg(feature = "rt-tokio")]
impl_write!(tokio::io::AsyncWrite);
#[cfg(feature = "hyper")]
impl_write!(hyper::rt::Write);

#[cfg(feature = "rt-tokio")]
impl tokio::io::AsyncRead for Recorder {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().read(|bytes| buf.put_slice(bytes))
    }
}

#[cfg(feature = "hyper")]
impl hyper::rt::Read for Recorder {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().read(|bytes| buf.put_slice(bytes))
    }
}

/// Runs what has nothing to wait for.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("it does not wait")
}

/// Makes the same tests for each adapter.
macro_rules! adapters {
    ($($(#[$cfg:meta])* mod $name:ident { $adapter:path })*) => {$(
        $(#[$cfg])*
        mod $name {
            use super::*;
            use $adapter as Adapter;

            #[test]
            fn a_read_leaves_the_rest_of_the_buffer_as_it_was() {
                let mut io = Adapter::new(Recorder::reading(Ok(b"x")));
                let mut buffer = [0xaa; 16];
                assert_eq!(now(io.read(&mut buffer)).unwrap(), 1);
                assert_eq!(buffer[0], b'x');
                assert_eq!(buffer[1..], [0xaa; 15]);
            }

            #[test]
            fn a_read_that_waits_or_fails_leaves_the_buffer_as_it_was() {
                let mut buffer = [0xaa; 16];
                let mut io = Adapter::new(Recorder::default());
                assert!(io.read(&mut buffer).now_or_never().is_none());
                let failure = Err(ErrorKind::ConnectionReset.into());
                let mut io = Adapter::new(Recorder::reading(failure));
                let error = now(io.read(&mut buffer)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                assert_eq!(buffer, [0xaa; 16]);
            }

            #[test]
            fn the_end_is_a_read_of_nothing() {
                let mut io = Adapter::new(Recorder::reading(Ok(b"")));
                assert_eq!(now(io.read(&mut [0; 16])).unwrap(), 0);
            }

            #[test]
            fn writes_flushes_and_the_close_are_passed_on() {
                let mut io = Adapter::new(Recorder::default());
                let bufs = [IoSlice::new(b"header"), IoSlice::new(b"payload")];
                now(async {
                    assert_eq!(io.write(b"plain").await.unwrap(), 5);
                    // In one call: what is not passed on would write the first one only.
                    assert_eq!(io.write_vectored(&bufs).await.unwrap(), 13);
                    io.flush().await.unwrap();
                    io.close().await.unwrap();
                });
                let calls = io.into_inner().calls;
                let expected = [
                    Call::Write(b"plain".to_vec()),
                    Call::Vectored(vec![b"header".to_vec(), b"payload".to_vec()]),
                    Call::Flush,
                    Call::Shutdown,
                ];
                assert_eq!(calls, expected);
            }
        }
    )*};
}

adapters! {
    #[cfg(feature = "rt-tokio")]
    mod tokio_io { anyws::io::TokioIo }

    #[cfg(feature = "hyper")]
    mod hyper_io { anyws::io::HyperIo }
}

/// Settings for two servers that stand for both ends of a stream: servers do not mask.
fn config() -> WebSocketConfig {
    let transport = TransportConfig::default().accept_unmasked_frames(true);
    WebSocketConfig::new().set_transport(transport)
}

/// Two sockets talk, each with more than a stream holds, and close.
async fn talk(mut one: WebSocket, mut other: WebSocket) {
    let message = Message::binary(vec![7; 1024 * 1024]);
    for _ in 0..2 {
        let (sent, received) = join(one.send(message.clone()), other.next()).await;
        sent.unwrap();
        assert!(received.unwrap().unwrap() == message);
        (one, other) = (other, one);
    }
    let (closed, other_closed) = join(one.close(None), other.close(None)).await;
    closed.unwrap();
    other_closed.unwrap();
}

#[cfg(feature = "rt-tokio")]
mod over_tcp {
    use anyws::io::TokioIo;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (TokioIo<TcpStream>, TokioIo<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = join(TcpStream::connect(address), listener.accept()).await;
        (TokioIo::new(near.unwrap()), TokioIo::new(far.unwrap().0))
    }

    #[test]
    fn a_close_shuts_down_the_write_side_only() {
        support::on_tokio(|_| async {
            let (mut near, mut far) = pair().await;
            near.write_all(b"last words").await.unwrap();
            near.close().await.unwrap();
            let mut bytes = Vec::new();
            far.read_to_end(&mut bytes).await.unwrap();
            assert_eq!(bytes, b"last words");
            far.write_all(b"heard").await.unwrap();
            drop(far);
            bytes.clear();
            near.read_to_end(&mut bytes).await.unwrap();
            assert_eq!(bytes, b"heard");
        });
    }

    #[test]
    fn two_sockets_talk_and_close() {
        support::on_tokio(|runtime| async move {
            // No test is to end by a timeout.
            let timeout = Duration::from_secs(3600);
            let config = config().set_runtime(runtime).set_close_timeout(timeout);
            let (near, far) = pair().await;
            let one = support::frames::server(near, &config).await;
            talk(one, support::frames::server(far, &config).await).await;
        });
    }
}

#[cfg(feature = "hyper")]
mod over_hyper {
    use std::task::ready;

    use anyws::{
        io::HyperIo,
        testing::{Duplex, duplex},
    };
    use futures::{AsyncRead, AsyncWrite};

    use super::*;

    /// A stream in memory, as hyper would have it.
    struct Hyper(Duplex);

    impl hyper::rt::Read for Hyper {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            mut buf: hyper::rt::ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            let mut chunk = [0; 1000];
            let length = buf.remaining().min(chunk.len());
            let read = ready!(Pin::new(&mut self.0).poll_read(cx, &mut chunk[..length]))?;
            buf.put_slice(&chunk[..read]);
            Poll::Ready(Ok(()))
        }
    }

    impl hyper::rt::Write for Hyper {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_close(cx)
        }
    }

    support::runtimes! {
        async fn two_sockets_talk_and_close(rt) {
            // No test is to end by a timeout.
            let config = config().set_runtime(rt).set_close_timeout(Duration::from_secs(3600));
            let (near, far) = duplex();
            let [near, far] = [near, far].map(|io| HyperIo::new(Hyper(io)));
            let one = support::frames::server(near, &config).await;
            talk(one, support::frames::server(far, &config).await).await;
        }
    }
}
