//! Streams that break the rules of their traits: an error, and no hang, panic or foreign byte.

use std::{
    io::{self, IoSlice},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use anyws::{Error, Message, TransportConfig, WebSocketConfig};
use futures::{AsyncRead, AsyncWrite, AsyncWriteExt, FutureExt, executor::block_on};
use support::{
    bounded,
    frames::{BINARY, Frame, Role},
    sockets::now,
    tasks::{poll_with, waker},
};

/// What a stream does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Reads report more bytes than the buffer has.
    LongRead(usize),
    /// Writes do.
    LongWrite,
    /// Every call is interrupted by a signal.
    Interrupted,
    /// Writes panic.
    Panic,
}

struct Broken(Fault);

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.0 {
            Fault::LongRead(more) => {
                // The header of an unmasked message, and none of its payload.
                let header = [0x82, 60];
                let length = buf.len().min(2);
                buf[..length].copy_from_slice(&header[..length]);
                Poll::Ready(Ok(buf.len() + more))
            }
            Fault::Interrupted => Poll::Ready(Err(io::ErrorKind::Interrupted.into())),
            _ => Poll::Pending,
        }
    }
}

impl AsyncWrite for Broken {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.0 {
            Fault::LongWrite => Poll::Ready(Ok(buf.len() + 1)),
            Fault::Interrupted => Poll::Ready(Err(io::ErrorKind::Interrupted.into())),
            Fault::Panic => panic!("the stream is broken"),
            Fault::LongRead(_) => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
        self.poll_write(cx, &all)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_write_that_reports_too_much_is_an_error() {
    bounded(|| {
        for role in Role::BOTH {
            // In one place, and in several.
            for length in [1, 100_000] {
                let mut socket = role.socket(Broken(Fault::LongWrite), &WebSocketConfig::new());
                let sent = now(socket.send(Message::binary(vec![7; length])));
                assert!(matches!(sent, Err(Error::Io(_))), "{sent:?}");
                let again = now(socket.send("again".into()));
                assert!(matches!(again, Err(Error::Closed)), "{again:?}");
            }
        }
    });
}

#[test]
fn a_read_that_reports_too_much_is_an_error_and_shows_no_bytes_of_others() {
    bounded(|| {
        for more in [1, 60, usize::MAX - 100_000] {
            for size in [1, 2, 4096] {
                let (mut near, far) = anyws::testing::duplex();
                let mut other = Role::Server.socket(far, &WebSocketConfig::new());
                let secret = b"what another connection was sent, with sixty bytes in all...";
                block_on(near.write_all(&Frame::new(BINARY, *secret).masked())).unwrap();
                assert!(block_on(other.next()).unwrap().unwrap().len() == secret.len());

                let transport = TransportConfig::default()
                    .read_buffer_size(size)
                    .accept_unmasked_frames(true);
                let config = WebSocketConfig::new().set_transport(transport);
                let mut socket = Role::Server.socket(Broken(Fault::LongRead(more)), &config);
                let item = now(socket.next());
                assert!(matches!(item, Some(Err(Error::Io(_)))), "{item:?}");
                assert!(now(socket.next()).is_none());
            }
        }
    });
}

#[test]
fn a_stream_that_is_always_interrupted_leaves_the_thread_to_others() {
    bounded(|| {
        for role in Role::BOTH {
            let mut socket = role.socket(Broken(Fault::Interrupted), &WebSocketConfig::new());
            let (waker, woken) = waker();
            for _ in 0..3 {
                assert!(poll_with(&waker, pin!(socket.next())).is_pending());
                assert!(woken.take(), "it is tried again");
                assert!(poll_with(&waker, pin!(socket.send("x".into()))).is_pending());
                assert!(woken.take(), "it is tried again");
            }
        }
    });
}

/// A panic inside of another one aborts the process.
#[test]
fn a_stream_that_panics_while_a_panic_drops_its_socket_aborts_nothing() {
    let socket = Role::Server.socket(Broken(Fault::Panic), &WebSocketConfig::new());
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _socket = socket;
        panic!("the handler is broken");
    }));
    let panic = panicked.expect_err("the panic is that of the handler");
    assert_eq!(panic.downcast_ref(), Some(&"the handler is broken"));
}

/// A stream that panics once it is read, when the test says so.
struct Trap(Arc<AtomicBool>);

impl AsyncRead for Trap {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!self.0.load(SeqCst), "the stream is broken");
        Poll::Pending
    }
}

impl AsyncWrite for Trap {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_panic_of_the_stream_in_one_half_wakes_the_other() {
    let is_armed = Arc::new(AtomicBool::new(false));
    let socket = Role::Server.socket(Trap(Arc::clone(&is_armed)), &WebSocketConfig::new());
    let (mut sender, mut receiver) = socket.split();
    let (waker, woken) = waker();
    assert!(poll_with(&waker, pin!(sender.send("waits".into()))).is_pending());
    assert!(!woken.take());
    is_armed.store(true, SeqCst);
    let panicked = catch_unwind(AssertUnwindSafe(|| receiver.next().now_or_never()));
    assert!(panicked.is_err());
    assert!(
        woken.take(),
        "the sender waits for what the receiver was about to do"
    );
}

/// A stream that takes several slices, but once no more than the first: what a full socket does.
#[derive(Clone)]
struct Partial {
    /// The bytes that the next writes take; all of them when the list is empty.
    takes: Arc<Mutex<Vec<usize>>>,
    writes: Arc<Mutex<Vec<usize>>>,
}

impl AsyncRead for Partial {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Partial {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: usize = bufs.iter().map(|buf| buf.len()).sum();
        let most = self.takes.lock().unwrap().pop();
        let length = most.map_or(all, |most| most.min(all));
        self.writes.lock().unwrap().push(length);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A partial write that ends behind the first slice by chance is no proof for the rest of its life:
/// large payloads are copied by a socket whose stream takes one slice only.
#[test]
fn a_partial_write_behind_the_first_slice_does_not_make_a_stream_one_of_single_slices() {
    const LARGE: usize = 64 * 1024;
    const HEADER: usize = 10;
    let stream = Partial {
        takes: Arc::new(Mutex::new(vec![HEADER])),
        writes: Arc::default(),
    };
    let mut socket = Role::Server.socket(stream.clone(), &WebSocketConfig::new());
    let mut send = || {
        let payload = vec![7; LARGE];
        let message = Message::binary(payload);
        let sent = allocation_counter::measure(|| now(socket.send(message)).unwrap());
        sent.bytes_total
    };
    send();
    assert_eq!(stream.writes.lock().unwrap().as_slice(), [HEADER, LARGE]);
    // The next message may be copied in part; the write of it shows that there is no need.
    send();
    for _ in 0..3 {
        let copied = send();
        assert!(
            copied < 1024,
            "{copied} bytes were allocated to send one message"
        );
    }
}
