//! The end of a handler that has not ended its socket by itself.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{Life, alarm::Alarm, moment::Moment};

/// The moment at which a handler is dropped, unless its socket has ended before.
pub(crate) struct Stop {
    alarm: Arc<Alarm>,
    socket: Arc<Alarm>,
    at: Moment,
}

impl Stop {
    /// Returns `None` if the socket has no maximum lifetime. A handler has `grace` more than that.
    pub(crate) fn of(life: &Life, grace: Duration) -> Option<Self> {
        let timers = life.timers.as_ref()?;
        let at = timers.stop_at(grace)?;
        let socket = Arc::clone(timers.alarm());
        let (alarm, _) = socket.clock().add(socket.tick());
        Some(Self { alarm, socket, at })
    }

    /// Waits for the moment. The socket's own alarm cannot wake the handler's task, which may never
    /// have polled the socket.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        self.alarm.register(cx.waker());
        let at = (!self.socket.has_left()).then_some(self.at);
        if self.alarm.set(at) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.alarm.leave();
    }
}
