//! The state that the halves share, and its lock.

use std::{
    fmt,
    future::poll_fn,
    mem,
    ops::{Deref, DerefMut},
    sync::{
        Arc as StdArc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use super::tasks::Tasks;
use crate::{
    connection::{Connection, Reading, Side},
    sync::{Arc, AtomicWaker, Mutex, MutexGuard},
};

/// The state that the halves share. When both are dropped, the connection is closed as a whole
/// socket is.
pub(super) struct Shared {
    /// Locked only inside a poll, never across an await.
    connection: Mutex<Connection>,
    /// It is turned into a `Waker`, which works only with std's `Arc`.
    tasks: StdArc<Tasks>,
    /// While the receiver lives, only it reads; afterwards the sender does.
    receiver_lives: AtomicBool,
    /// A copy that can be read without the lock.
    pub(super) protocol: Option<Box<str>>,
}

impl Shared {
    pub(super) fn new(connection: Connection) -> Arc<Self> {
        let protocol = connection.protocol().map(Into::into);
        Arc::new(Self {
            connection: Mutex::new(connection),
            tasks: StdArc::default(),
            receiver_lives: AtomicBool::new(true),
            protocol,
        })
    }

    /// Returns whether the sender has to read because nobody else does.
    pub(super) fn reading(&self) -> Reading {
        if self.receiver_lives.load(Ordering::Acquire) {
            Reading::Never
        } else {
            Reading::Allowed
        }
    }

    pub(super) fn wake(&self, side: Side) {
        self.tasks.of(side).wake();
    }
}

/// Lets the task behind `cx` drive the connection, and wakes the other task if it may continue.
pub(super) fn drive<R>(
    shared: &Arc<Shared>,
    side: Side,
    cx: &Context<'_>,
    poll: impl FnOnce(&mut Connection, &mut Context<'_>) -> Poll<R>,
) -> Poll<R> {
    let task = shared.tasks.of(side);
    task.register(cx.waker());
    let waker = Waker::from(StdArc::clone(&shared.tasks));
    let other = WakeOnDrop(shared.tasks.of(side.other()));
    let mut connection = lock(shared);
    let before = connection.state();
    let polled = poll(&mut connection, &mut Context::from_waker(&waker));
    let has_changed = connection.state() != before;
    let stream = connection.take_stream();
    drop(connection);
    drop(stream);
    if polled.is_ready() {
        // The task no longer waits. Its waker would keep the memory of a task that may end.
        task.take();
    }
    if !has_changed {
        mem::forget(other);
    }
    polled
}

/// Locks the connection. Dropping the guard unlocks it, and then does what had to wait for that.
pub(super) fn lock(shared: &Arc<Shared>) -> Locked<'_> {
    shared.tasks.begin_poll();
    // A panic inside a poll leaves the connection in a state that the other half can use.
    let guard = shared.connection.lock();
    Locked {
        guard: Some(guard.unwrap_or_else(PoisonError::into_inner)),
        shared,
    }
}

/// Leaves the rest to the other half, when a half is dropped.
pub(super) fn leave(shared: &Arc<Shared>, side: Side) {
    shared.tasks.of(side).take();
    if side == Side::Receiver {
        shared.receiver_lives.store(false, Ordering::Release);
        if shared.tasks.leave() {
            finish_receiver(shared);
        }
    }
}

/// Completes the drop of a receiver. If the receiver has seen the end and the sender has nothing
/// left to do, a task closes the connection.
fn finish_receiver(shared: &Arc<Shared>) {
    let mut connection = lock(shared);
    let finisher = connection.finisher();
    let stream = connection.take_stream();
    drop(connection);
    drop(stream);
    // A waiting sender reads by itself from now on.
    shared.wake(Side::Sender);
    if let Some(runtime) = finisher {
        runtime.spawn(Box::pin(finish(Arc::clone(shared))));
    }
}

/// Closes the TCP connection of a sender that can no longer send.
async fn finish(shared: Arc<Shared>) {
    let mut deadline = lock(&shared).deadline();
    poll_fn(|cx| {
        drive(&shared, Side::Receiver, cx, |connection, cx| {
            connection.poll_abandoned(cx, &mut deadline)
        })
    })
    .await;
}

/// The locked connection.
pub(super) struct Locked<'a> {
    /// `None` once unlocked.
    guard: Option<MutexGuard<'a, Connection>>,
    shared: &'a Arc<Shared>,
}

impl Deref for Locked<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.guard.as_ref().expect("only `drop` takes it")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.guard.as_mut().expect("only `drop` takes it")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut guard) = self.guard.take() else {
            return;
        };
        let queue = guard.queue_to_wake();
        let released = guard.release_left();
        drop(guard);
        if self.shared.tasks.end_poll() {
            finish_receiver(self.shared);
        }
        if let Some(queue) = queue {
            queue.wake_ready();
        }
        released.tell();
    }
}

/// Wakes the other half even if the stream has panicked: it may wait for what this half was about
/// to do.
struct WakeOnDrop<'a>(&'a AtomicWaker);

impl Drop for WakeOnDrop<'_> {
    fn drop(&mut self) {
        self.0.wake();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
