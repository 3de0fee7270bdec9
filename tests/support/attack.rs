//! A stream by which a test attacks a socket: what is read from it is made on the way, as fast as
//! it is read, and what is written to it is counted and forgotten. So it needs no memory itself.

use std::{
    future::Future,
    io::{self, ErrorKind, IoSlice},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use anyws::{Bytes, WebSocketConfig};
use futures::{AsyncRead, AsyncWrite, channel::oneshot};

use crate::still::Still;

/// What follows the first bytes that are read.
#[derive(Clone, Debug)]
pub enum Then {
    /// The same bytes, for ever.
    Again(Bytes),
    /// Nothing, and no end either.
    Wait,
    End,
    Fail(ErrorKind),
}

/// The stream.
pub struct Attack {
    first: Bytes,
    then: Then,
    /// The place in the bytes that are read.
    at: usize,
    /// Bytes that a read gives at most.
    gives: usize,
    /// Bytes that a write takes at most; 0 to take none, for ever.
    takes: usize,
    /// A write takes more than one slice.
    takes_slices: bool,
    log: Arc<Log>,
    dropped: Option<oneshot::Sender<()>>,
}

/// What has become of the stream.
#[derive(Debug, Default)]
pub struct Log {
    /// Bytes that were read.
    pub read: AtomicUsize,
    /// Bytes that were written.
    pub written: AtomicUsize,
    /// Reads that came behind the last byte.
    pub late: AtomicUsize,
}

impl Log {
    pub fn read(&self) -> usize {
        self.read.load(Relaxed)
    }

    pub fn written(&self) -> usize {
        self.written.load(Relaxed)
    }

    pub fn late(&self) -> usize {
        self.late.load(Relaxed)
    }
}

impl Attack {
    /// A stream that gives and takes as much at once as it is asked for.
    pub fn new(first: impl Into<Bytes>, then: Then) -> Self {
        Self {
            first: first.into(),
            then,
            at: 0,
            gives: usize::MAX,
            takes: usize::MAX,
            takes_slices: true,
            log: Arc::default(),
            dropped: None,
        }
    }

    pub fn gives(mut self, most: usize) -> Self {
        self.gives = most;
        self
    }

    pub fn takes(mut self, most: usize) -> Self {
        self.takes = most;
        self
    }

    pub fn takes_one_slice(mut self) -> Self {
        self.takes_slices = false;
        self
    }

    pub fn log(&self) -> Arc<Log> {
        Arc::clone(&self.log)
    }

    /// Tells when the stream is dropped.
    pub fn dropped(&mut self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.dropped = Some(sender);
        receiver
    }
}

impl AsyncRead for Attack {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let most = buf.len().min(self.gives);
        let mut length = 0;
        while length < most {
            let rest = match (&self.then, self.at.checked_sub(self.first.len())) {
                (_, None) => self.first.slice(self.at..),
                (Then::Again(again), Some(behind)) => again.slice(behind % again.len()..),
                _ => break,
            };
            let part = rest.len().min(most - length);
            buf[length..length + part].copy_from_slice(&rest[..part]);
            length += part;
            self.at += part;
        }
        self.log.read.fetch_add(length, Relaxed);
        if length > 0 {
            return Poll::Ready(Ok(length));
        }
        self.log.late.fetch_add(1, Relaxed);
        match self.then {
            Then::Again(_) | Then::End => Poll::Ready(Ok(0)),
            Then::Wait => Poll::Pending,
            Then::Fail(kind) => Poll::Ready(Err(kind.into())),
        }
    }
}

impl AsyncWrite for Attack {
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
        if let Then::Fail(kind) = self.then
            && self.at == self.first.len()
        {
            return Poll::Ready(Err(kind.into()));
        }
        if self.takes == 0 {
            return Poll::Pending;
        }
        let slices = if self.takes_slices { bufs.len() } else { 1 };
        let length: usize = bufs.iter().take(slices).map(|buf| buf.len()).sum();
        let length = length.min(self.takes);
        self.log.written.fetch_add(length, Relaxed);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        if let Some(dropped) = self.dropped.take() {
            // The test may have seen enough.
            let _ = dropped.send(());
        }
    }
}

/// Polls a future until it is ready, or waits for something else than its next turn, or `each`,
/// which is asked after each poll, has seen enough.
pub fn drive<T>(future: impl Future<Output = T>, mut each: impl FnMut() -> bool) -> Option<T> {
    #[derive(Default)]
    struct Turn(AtomicBool);

    impl Wake for Turn {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    let turn = Arc::new(Turn::default());
    let waker = Waker::from(Arc::clone(&turn));
    let mut future = pin!(future);
    loop {
        let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
        let goes_on = each();
        match poll {
            Poll::Ready(result) => return Some(result),
            Poll::Pending if turn.0.swap(false, Relaxed) && goes_on => {}
            Poll::Pending => return None,
        }
    }
}

/// Settings of a socket that does all it does on the thread of the test: without timers it is
/// dropped for good.
pub fn alone() -> WebSocketConfig {
    Still::without_timers().config()
}

/// Settings of such a socket that waits for its peer's Close as long as it takes.
pub fn alone_and_patient() -> WebSocketConfig {
    Still::default().config()
}
