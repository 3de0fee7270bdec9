//! A byte stream that behaves as a test tells it to, and remembers what was done with it.

use std::{
    future::poll_fn,
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker, ready},
};

use anyws::testing::Duplex;
use futures::{AsyncRead, AsyncWrite};

/// What was done with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Write(Vec<u8>),
    Flush,
    /// The write side was shut down.
    Close,
    /// A read told the end of the stream.
    End,
    Drop,
}

/// The end of a [`Duplex`] that follows a script.
pub struct Scripted {
    io: Duplex,
    script: Script,
    /// What was written and not yet flushed, if the stream buffers.
    held: Vec<u8>,
}

/// The script of a stream and the record of it, for the test to keep.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    slow: bool,
    /// A slow stream is pending when it is polled next, in each direction.
    tired: [bool; 2],
    interrupted: bool,
    /// An interrupted stream has failed when it was called last: for reads, writes, flushes and
    /// shutdowns.
    signalled: [bool; 4],
    buffers: bool,
    fail_reads: Option<ErrorKind>,
    fail_writes: Option<ErrorKind>,
    events: Vec<Event>,
    waiting: Option<Waker>,
}

impl Scripted {
    pub fn new(io: Duplex) -> (Self, Script) {
        let script = Script::default();
        let held = Vec::new();
        let this = Self {
            io,
            script: script.clone(),
            held,
        };
        (this, script)
    }

    /// One byte a poll, and nothing at all every other poll.
    pub fn slow(io: Duplex) -> Self {
        let (this, script) = Self::new(io);
        script.lock().slow = true;
        this
    }

    /// Every other call of each kind fails with `Interrupted`, as after a signal.
    pub fn interrupted(io: Duplex) -> Self {
        let (this, script) = Self::new(io);
        script.lock().interrupted = true;
        this
    }

    /// Nothing is passed on before a flush, as in a TLS stream.
    pub fn buffering(io: Duplex) -> Self {
        let (this, script) = Self::new(io);
        script.lock().buffers = true;
        this
    }

    /// Returns how many bytes a call may move; pending if the stream has to rest.
    fn poll_turn(&self, cx: &Context<'_>, direction: usize) -> Poll<io::Result<usize>> {
        self.script.lock().interrupt(direction)?;
        let mut state = self.script.lock();
        if !state.slow {
            return Poll::Ready(Ok(usize::MAX));
        }
        state.tired[direction] ^= true;
        if state.tired[direction] {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(1))
    }
}

impl State {
    fn interrupt(&mut self, call: usize) -> io::Result<()> {
        self.signalled[call] ^= self.interrupted;
        if self.signalled[call] {
            return Err(ErrorKind::Interrupted.into());
        }
        Ok(())
    }
}

impl Script {
    /// From now on reads fail.
    pub fn fail_reads(&self, kind: ErrorKind) {
        self.lock().fail_reads = Some(kind);
    }

    /// From now on writes fail.
    pub fn fail_writes(&self, kind: ErrorKind) {
        self.lock().fail_writes = Some(kind);
    }

    /// Returns what was done, but for flushes.
    pub fn events(&self) -> Vec<Event> {
        let events = self.lock().events.clone();
        events
            .into_iter()
            .filter(|it| *it != Event::Flush)
            .collect()
    }

    /// Returns what each write has written.
    pub fn writes(&self) -> Vec<Vec<u8>> {
        let events = self.events().into_iter();
        let writes = events.filter_map(|event| match event {
            Event::Write(bytes) => Some(bytes),
            _ => None,
        });
        writes.collect()
    }

    /// Returns how often the stream was flushed.
    pub fn flushes(&self) -> usize {
        let events = &self.lock().events;
        events.iter().filter(|it| **it == Event::Flush).count()
    }

    pub fn is_dropped(&self) -> bool {
        self.lock().events.contains(&Event::Drop)
    }

    /// Waits for the end of the stream's life.
    pub async fn dropped(&self) {
        poll_fn(|cx| {
            self.lock().waiting = Some(cx.waker().clone());
            if self.is_dropped() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn record(&self, event: Event) {
        self.lock().events.push(event);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let most = ready!(self.poll_turn(cx, 0))?;
        if let Some(kind) = self.script.lock().fail_reads {
            return Poll::Ready(Err(kind.into()));
        }
        let length = buf.len().min(most);
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf[..length]))?;
        if read == 0 && length > 0 {
            self.script.record(Event::End);
        }
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let most = ready!(self.poll_turn(cx, 1))?;
        if let Some(kind) = self.script.lock().fail_writes {
            return Poll::Ready(Err(kind.into()));
        }
        let mut length = buf.len().min(most);
        if self.script.lock().buffers {
            self.held.extend(&buf[..length]);
        } else {
            length = ready!(Pin::new(&mut self.io).poll_write(cx, &buf[..length]))?;
        }
        self.script.record(Event::Write(buf[..length].to_vec()));
        Poll::Ready(Ok(length))
    }

    /// One write, however many the buffers are.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let parts: Vec<&[u8]> = bufs.iter().map(|buf| &**buf).collect();
        self.poll_write(cx, &parts.concat())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.script.lock().interrupt(2)?;
        self.script.record(Event::Flush);
        while !self.held.is_empty() {
            let Self { io, held, .. } = &mut *self;
            let written = ready!(Pin::new(io).poll_write(cx, held))?;
            held.drain(..written);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        self.script.lock().interrupt(3)?;
        self.script.record(Event::Close);
        Pin::new(&mut self.io).poll_close(cx)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.script.record(Event::Drop);
        let waiting = self.script.lock().waiting.take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}
