//! A byte stream that does what the fuzzer says, and remembers what was done with it.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use arbitrary::Arbitrary;
use futures_io::{AsyncRead, AsyncWrite};

/// Calls in one poll of a task after which it is said to hang.
const MANY: usize = 100_000;

/// What a stream does when it is called.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Moves all it can.
    All,
    /// Moves so many bytes at most, and one at least.
    Some(u8),
    /// Takes the first slice only.
    First,
    /// Does nothing now, and wakes the task later.
    Pend,
    /// Was interrupted.
    Interrupt,
    /// Fails, now and for ever; seldom, see [`Act::seldom`].
    Fail(u8),
    /// Takes nothing, or tells the end; seldom.
    Nothing(u8),
}

impl Act {
    /// Nothing fails and nothing ends by it.
    #[must_use]
    pub fn is_harmless(self) -> bool {
        !matches!(self.seldom(), Self::Fail(_) | Self::Nothing(_))
    }

    /// What ends a connection is mostly a wait: else few connections would live long.
    fn seldom(self) -> Self {
        match self {
            Self::Fail(1..) | Self::Nothing(1..) => Self::Pend,
            act => act,
        }
    }
}

/// What is done in each direction, in order; afterwards all that can be is.
#[derive(Arbitrary, Clone, Debug, Default)]
pub struct Acts {
    /// What reads do.
    pub reads: VecDeque<Act>,
    /// What writes, flushes and the shutdown do.
    pub writes: VecDeque<Act>,
    /// Behind its last byte the stream is silent, and does not end.
    pub is_silent: bool,
}

/// The stream.
#[derive(Debug)]
pub struct Stream(Script);

/// The record of a stream.
#[derive(Clone, Debug)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    input: VecDeque<u8>,
    acts: Acts,
    calls: usize,
    read_failed: bool,
    write_failed: bool,
    output: Vec<u8>,
    flushed: usize,
    shut_down: bool,
    /// Who waits for a read, and who for a write.
    blocked: [Option<Waker>; 2],
}

impl Script {
    /// Makes a stream that gives `input`.
    #[must_use]
    pub fn new(input: Vec<u8>, acts: Acts) -> (Self, Stream) {
        let state = State {
            input: input.into(),
            acts,
            ..State::default()
        };
        let this = Self(Arc::new(Mutex::new(state)));
        (this.clone(), Stream(this))
    }

    /// Gives more bytes to read, and after them silence or the end.
    pub fn give(&self, bytes: &[u8], is_silent: bool) {
        let mut state = self.lock();
        state.input.extend(bytes);
        state.acts.is_silent = is_silent;
    }

    /// How many bytes nobody has read.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.lock().input.len()
    }

    /// Begins to count the calls of a poll.
    pub fn begin_poll(&self) {
        self.lock().calls = 0;
    }

    /// Takes who waits for a read, and who for a write.
    #[must_use]
    pub fn take_blocked(&self) -> [Option<Waker>; 2] {
        std::mem::take(&mut self.lock().blocked)
    }

    /// Wakes who waits for what is possible: a silent peer wakes nobody.
    pub fn wake_ready(&self) {
        let is_drained = self.is_drained();
        let [read, write] = self.take_blocked();
        if let Some(read) = read.filter(|_| !is_drained) {
            read.wake();
        }
        if let Some(write) = write {
            write.wake();
        }
    }

    /// Nothing more can be read, not even the end.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let state = self.lock();
        state.input.is_empty() && state.acts.is_silent && !state.read_failed
    }

    /// From now on nothing fails, and nothing waits but for a silent peer.
    pub fn behave(&self) {
        let mut state = self.lock();
        state.acts.reads.clear();
        state.acts.writes.clear();
    }

    /// A write has failed.
    #[must_use]
    pub fn write_failed(&self) -> bool {
        self.lock().write_failed
    }

    /// A read has failed, or told an end too early.
    #[must_use]
    pub fn read_failed(&self) -> bool {
        self.lock().read_failed
    }

    /// What was written.
    #[must_use]
    pub fn output(&self) -> Vec<u8> {
        self.lock().output.clone()
    }

    /// All that was written was flushed too.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        let state = self.lock();
        state.flushed == state.output.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("no call panics while it holds the lock")
    }
}

impl State {
    fn count_call(&mut self) {
        self.calls += 1;
        assert!(self.calls < MANY, "a poll does not come to an end");
    }

    fn pend<T>(&mut self, direction: usize, cx: &Context<'_>) -> Poll<T> {
        self.blocked[direction] = Some(cx.waker().clone());
        Poll::Pending
    }

    fn write_act(&mut self) -> Act {
        self.count_call();
        assert!(!self.shut_down, "the write side was shut down before");
        self.blocked[1] = None;
        if self.write_failed {
            return Act::Fail(0);
        }
        self.acts.writes.pop_front().map_or(Act::All, Act::seldom)
    }

    fn fail_write<T>(&mut self) -> Poll<io::Result<T>> {
        self.write_failed = true;
        Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
    }

    /// Flushes or shuts down.
    fn poll_end(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self.write_act() {
            Act::Pend => self.pend(1, cx),
            Act::Fail(_) => self.fail_write(),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let state = &mut *self.0.lock();
        state.count_call();
        state.blocked[0] = None;
        assert!(!buf.is_empty(), "a read of no bytes would tell the end");
        let act = state.acts.reads.pop_front().map_or(Act::All, Act::seldom);
        let most = match act {
            _ if state.read_failed => return Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
            Act::All | Act::First => usize::MAX,
            Act::Some(most) => usize::from(most.max(1)),
            Act::Pend => return state.pend(0, cx),
            Act::Interrupt => return Poll::Ready(Err(ErrorKind::Interrupted.into())),
            Act::Fail(_) => {
                state.read_failed = true;
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            Act::Nothing(_) => {
                state.input.clear();
                state.read_failed = true;
                return Poll::Ready(Ok(0));
            }
        };
        if state.input.is_empty() && state.acts.is_silent {
            return state.pend(0, cx);
        }
        let length = state.input.len().min(most).min(buf.len());
        for (byte, taken) in buf.iter_mut().zip(state.input.drain(..length)) {
            *byte = taken;
        }
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let state = &mut *self.0.lock();
        let (slices, most) = match state.write_act() {
            Act::All => (usize::MAX, usize::MAX),
            Act::Some(most) => (usize::MAX, usize::from(most.max(1))),
            Act::First => (1, usize::MAX),
            Act::Pend => return state.pend(1, cx),
            Act::Interrupt => return Poll::Ready(Err(ErrorKind::Interrupted.into())),
            Act::Fail(_) => return state.fail_write(),
            Act::Nothing(_) => {
                state.write_failed = true;
                return Poll::Ready(Ok(0));
            }
        };
        let before = state.output.len();
        for buf in bufs.iter().take(slices) {
            let length = buf.len().min(most - (state.output.len() - before));
            state.output.extend_from_slice(&buf[..length]);
        }
        let written = state.output.len() - before;
        assert!(written > 0, "a write of no bytes");
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.0.lock();
        let poll = state.poll_end(cx);
        if matches!(poll, Poll::Ready(Ok(()))) {
            state.flushed = state.output.len();
        }
        poll
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.0.lock();
        let poll = state.poll_end(cx);
        if matches!(poll, Poll::Ready(Ok(()))) {
            state.shut_down = true;
        }
        poll
    }
}
