//! The two halves of a socket, for two tasks.

use std::{
    fmt,
    future::poll_fn,
    mem,
    sync::{
        Arc as StdArc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use self::tasks::Tasks;
pub use self::{receiver::ReceiveHalf, sender::SendHalf};
use crate::{
    connection::{Connection, Reading, Side},
    message::CloseFrame,
    rt::Runtime,
    socket::WebSocket,
    sync::{Arc, AtomicWaker, Mutex, MutexGuard},
};

#[cfg(all(test, anyws_loom))]
mod loom_tests;
mod receiver;
mod sender;
mod tasks;

/// One half's share of the connection. Dropping it leaves the rest to the other half.
#[derive(Debug)]
struct Half {
    side: Side,
    shared: Arc<Shared>,
}

/// The state that the halves share. When both are dropped, the connection is closed as a whole
/// socket is.
struct Shared {
    /// Locked only inside a poll, never across an await.
    connection: Mutex<Connection>,
    /// It is turned into a `Waker`, which works only with std's `Arc`.
    tasks: StdArc<Tasks>,
    /// While the receiver lives, only it reads; afterwards the sender does.
    receiver_lives: AtomicBool,
    /// A copy that can be read without the lock.
    protocol: Option<Box<str>>,
}

impl Half {
    fn drive<R>(
        &self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Connection, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        self.shared.drive(self.side, cx, poll)
    }

    /// Returns whether the sender has to read because nobody else does.
    fn reading(&self) -> Reading {
        if self.shared.receiver_lives.load(Ordering::Acquire) {
            Reading::Never
        } else {
            Reading::Allowed
        }
    }

    fn protocol(&self) -> Option<&str> {
        self.shared.protocol.as_deref()
    }

    fn runtime(&self) -> Option<StdArc<dyn Runtime>> {
        self.shared.lock().runtime()
    }

    fn close_frame(&self) -> Option<CloseFrame> {
        self.shared.lock().close_frame()
    }

    /// Ends the connection at once, and wakes the other half to notice.
    fn abort(&self) {
        let (_, stream) = self.shared.lock().abort(self.side);
        self.shared.tasks.of(self.side.other()).wake();
        drop(stream);
    }
}

impl Shared {
    /// Lets the task behind `cx` drive the connection, and wakes the other task if it may continue.
    fn drive<R>(
        &self,
        side: Side,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Connection, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let task = self.tasks.of(side);
        task.register(cx.waker());
        let waker = Waker::from(StdArc::clone(&self.tasks));
        let other = WakeOnDrop(self.tasks.of(side.other()));
        let polling = self.tasks.begin_poll();
        let mut connection = self.lock();
        let before = connection.state();
        let polled = poll(&mut connection, &mut Context::from_waker(&waker));
        let has_changed = connection.state() != before;
        let stream = connection.take_stream();
        drop(connection);
        drop(stream);
        drop(polling);
        if polled.is_ready() {
            // The task no longer waits. Its waker would keep the memory of a task that may end.
            task.take();
        }
        if !has_changed {
            mem::forget(other);
        }
        polled
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a poll leaves the connection in a state that the other half can use.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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

/// A dropped half waits for nothing and leaves the rest to the other half. If the receiver has seen
/// the end and the sender has nothing left to do, the rest goes to a task.
impl Drop for Half {
    fn drop(&mut self) {
        let Self { side, shared } = self;
        shared.tasks.of(*side).take();
        if *side == Side::Sender {
            return;
        }
        shared.receiver_lives.store(false, Ordering::Release);
        let polling = shared.tasks.begin_poll();
        let mut connection = shared.lock();
        let finisher = connection.finisher();
        let stream = connection.take_stream();
        drop(connection);
        drop(stream);
        drop(polling);
        // A waiting sender reads by itself from now on.
        shared.tasks.of(Side::Sender).wake();
        if let Some(runtime) = finisher {
            runtime.spawn(Box::pin(finish(Arc::clone(shared))));
        }
    }
}

/// Closes the TCP connection of a sender that can no longer send.
async fn finish(shared: Arc<Shared>) {
    let mut deadline = shared.lock().deadline();
    poll_fn(|cx| {
        shared.drive(Side::Receiver, cx, |connection, cx| {
            connection.poll_abandoned(cx, &mut deadline)
        })
    })
    .await;
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

pub(crate) fn split(socket: WebSocket) -> (SendHalf, ReceiveHalf) {
    let mut connection = socket.into_connection();
    connection.set_shared(true);
    let protocol = connection.protocol().map(Into::into);
    let shared = Arc::new(Shared {
        connection: Mutex::new(connection),
        tasks: StdArc::default(),
        receiver_lives: AtomicBool::new(true),
        protocol,
    });
    let half = |side, shared| Half { side, shared };
    (
        SendHalf(half(Side::Sender, Arc::clone(&shared))),
        ReceiveHalf(half(Side::Receiver, shared)),
    )
}

/// The halves passed to [`SendHalf::reunite`] belong to different sockets; this error returns them.
#[derive(Debug, thiserror::Error)]
#[error("the halves belong to different WebSockets")]
#[non_exhaustive]
pub struct ReuniteError(pub SendHalf, pub ReceiveHalf);
