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

/// A half's part in what both share; says so when it is dropped.
#[derive(Debug)]
struct Half {
    side: Side,
    shared: Arc<Shared>,
}

/// What the halves share. When both are dropped, the connection is closed as that of a whole
/// socket.
struct Shared {
    /// Locked inside a poll only, never across an await.
    connection: Mutex<Connection>,
    /// A `Waker` is made of it, which only std's `Arc` can be.
    tasks: StdArc<Tasks>,
    /// What arrives is left to the receiver while that lives; then the sender reads.
    receiver_lives: AtomicBool,
    /// A copy, to be read without the lock.
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

    /// Tells whether the sender has to read, because nobody else does.
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

    /// Ends the connection at once; the other half is woken to find out.
    fn abort(&self) {
        let (_, stream) = self.shared.lock().abort(self.side);
        self.shared.tasks.of(self.side.other()).wake();
        drop(stream);
    }
}

impl Shared {
    /// Lets the task behind `cx` drive the connection; the other one is woken if it may go on.
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
            // It waits no more: its waker would keep the memory of a task that may end.
            task.take();
        }
        if !has_changed {
            mem::forget(other);
        }
        polled
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a poll leaves nothing half done that the other half would trip over.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the other half, also where a stream has panicked: it may wait for what this one was about
/// to do.
struct WakeOnDrop<'a>(&'a AtomicWaker);

impl Drop for WakeOnDrop<'_> {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// A half that is gone waits for nothing, and leaves the rest to the other one; or to a task, if
/// the receiver has seen the end and the sender has nothing left to do.
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
        // A sender that waits reads by itself from now on.
        shared.tasks.of(Side::Sender).wake();
        if let Some(runtime) = finisher {
            runtime.spawn(Box::pin(finish(Arc::clone(shared))));
        }
    }
}

/// Closes the TCP connection of a sender that may not send any more.
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

/// The halves given to [`SendHalf::reunite`] are of different sockets; here they are again.
#[derive(Debug, thiserror::Error)]
#[error("the halves belong to different WebSockets")]
#[non_exhaustive]
pub struct ReuniteError(pub SendHalf, pub ReceiveHalf);
