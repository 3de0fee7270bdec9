//! The two halves of a socket, for two tasks.

use std::{
    sync::Arc as StdArc,
    task::{Context, Poll},
    time::Duration,
};

use self::shared::{Shared, lock};
pub use self::{receiver::ReceiveHalf, sender::SendHalf};
use crate::{
    config::QueueConfig,
    connection::{Connection, Reading, Side},
    message::CloseFrame,
    rt::Runtime,
    socket::{Sender, WebSocket},
    sync::Arc,
};

#[cfg(all(test, anyws_loom))]
mod loom_tests;
mod receiver;
mod sender;
mod shared;
mod tasks;

/// One half's share of the connection. Dropping it leaves the rest to the other half.
#[derive(Debug)]
struct Half {
    side: Side,
    shared: Arc<Shared>,
}

impl Half {
    fn drive<R>(
        &self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Connection, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        shared::drive(&self.shared, self.side, cx, poll)
    }

    /// Returns whether the sender has to read because nobody else does.
    fn reading(&self) -> Reading {
        self.shared.reading()
    }

    fn protocol(&self) -> Option<&str> {
        self.shared.protocol.as_deref()
    }

    fn runtime(&self) -> Option<StdArc<dyn Runtime>> {
        lock(&self.shared).runtime()
    }

    fn close_frame(&self) -> Option<CloseFrame> {
        lock(&self.shared).close_frame()
    }

    fn round_trip(&self) -> Option<Duration> {
        lock(&self.shared).round_trip()
    }

    fn idle_for(&self) -> Option<Duration> {
        lock(&self.shared).idle_for()
    }

    fn sender(&self, config: Option<QueueConfig>) -> Sender {
        let queue = lock(&self.shared).queue(config);
        // If the queue is new, a half that waits does not listen to it yet.
        self.shared.wake(self.side.other());
        Sender::new(queue)
    }

    /// Ends the connection at once, and wakes the other half to notice.
    fn abort(&self) {
        // Both are dropped after the lock is released: they may own a half.
        let (tasks, stream) = lock(&self.shared).abort(self.side);
        self.shared.wake(self.side.other());
        drop((tasks, stream));
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        shared::leave(&self.shared, self.side);
    }
}

pub(crate) fn split(socket: WebSocket) -> (SendHalf, ReceiveHalf) {
    let mut connection = socket.into_connection();
    connection.set_shared(true);
    let shared = Shared::new(connection);
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
