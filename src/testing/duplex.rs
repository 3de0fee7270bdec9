//! An in-memory byte stream with two ends.

use std::{
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_io::{AsyncRead, AsyncWrite};

/// How many bytes are in flight in one direction: what Linux gives a loopback socket by default.
const DEFAULT_CAPACITY: usize = 64 * 1024;

/// One end of an in-memory byte stream; created by [`duplex`].
///
/// It behaves as a TCP stream: writes wait while the other end does not read, closing ends only one
/// direction, and dropping an end ends both.
#[derive(Debug)]
pub struct Duplex {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
}

/// Returns the two ends of a byte stream that holds 64 KiB in each direction.
#[must_use]
pub fn duplex() -> (Duplex, Duplex) {
    duplex_with_capacity(DEFAULT_CAPACITY)
}

/// Returns the two ends of a byte stream that holds `capacity` bytes in each direction, at least 1.
#[must_use]
pub fn duplex_with_capacity(capacity: usize) -> (Duplex, Duplex) {
    let (there, back) = (Pipe::new(capacity), Pipe::new(capacity));
    let near = Duplex {
        incoming: Arc::clone(&back),
        outgoing: Arc::clone(&there),
    };
    (
        near,
        Duplex {
            incoming: there,
            outgoing: back,
        },
    )
}

/// One direction of the stream.
#[derive(Debug)]
struct Pipe(Mutex<State>);

struct State {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// The writing end was closed.
    ended: bool,
    /// The reading end was dropped.
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Shows how many bytes are in flight, not the bytes: they are the users' data.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("length", &self.bytes.len())
            .field("capacity", &self.capacity)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Pipe {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            bytes: VecDeque::new(),
            capacity: capacity.max(1),
            ended: false,
            unread: false,
            reader: None,
            writer: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let reader = {
            let mut state = self.lock();
            state.ended = true;
            state.reader.take()
        };
        wake(reader);
    }

    fn abandon(&self) {
        let writer = {
            let mut state = self.lock();
            state.unread = true;
            state.writer.take()
        };
        wake(writer);
    }
}

/// Wakes a task. Call it without a lock: the waker may own an end of the stream.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.incoming.lock();
        if state.bytes.is_empty() && !state.ended && !buf.is_empty() {
            let replaced = state.reader.replace(cx.waker().clone());
            drop(state);
            drop(replaced);
            return Poll::Pending;
        }
        let length = io::Read::read(&mut state.bytes, buf)?;
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.outgoing.lock();
        if state.ended || state.unread {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = state.capacity - state.bytes.len();
        if room == 0 && !buf.is_empty() {
            let replaced = state.writer.replace(cx.waker().clone());
            drop(state);
            drop(replaced);
            return Poll::Pending;
        }
        let length = room.min(buf.len());
        state.bytes.extend(&buf[..length]);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        self.outgoing.end();
        self.incoming.abandon();
    }
}
