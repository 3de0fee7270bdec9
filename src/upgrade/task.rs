//! The task of a connection: it waits for the socket, then runs the handler.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_core::future::BoxFuture;
use futures_util::FutureExt;

use super::Upgrading;
use crate::{Error, WebSocket};

/// A callback for an upgrade that fails.
pub(super) type Callback = Box<dyn FnOnce(Error) + Send>;

/// Calls `on_failed_upgrade` if the task that holds it is dropped before a handler has started.
///
/// Without it nobody would know that the handler never runs: the runtime was shut down, or its
/// executor is gone.
pub(super) struct Guard {
    callback: Option<Callback>,
    /// Becomes `true` if the task is dropped; `None` once there is nothing to guard.
    is_dropped: Option<Arc<AtomicBool>>,
}

/// Tells whether a runtime has dropped a task.
pub(super) struct Watch(Arc<AtomicBool>);

impl Guard {
    pub(super) fn new(callback: Option<Callback>) -> (Self, Watch) {
        let is_dropped = Arc::default();
        let guard = Self {
            callback,
            is_dropped: Some(Arc::clone(&is_dropped)),
        };
        (guard, Watch(is_dropped))
    }

    /// Makes no call any more: a handler has the socket.
    fn disarm(mut self) {
        self.is_dropped = None;
    }

    /// Calls `on_failed_upgrade` with `error`.
    pub(super) fn fail(mut self, error: Error) {
        self.is_dropped = None;
        if let Some(callback) = self.callback.take() {
            callback(error);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(is_dropped) = self.is_dropped.take() else {
            return;
        };
        is_dropped.store(true, Ordering::SeqCst);
        if let Some(callback) = self.callback.take() {
            // A panic that leaves a destructor while another one unwinds aborts the process. The
            // panic hook has already reported this one.
            let _ = catch_unwind(AssertUnwindSafe(|| callback(dropped())));
        }
    }
}

impl Watch {
    pub(super) fn is_dropped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The error of a task that was dropped before its handler has started.
pub(super) fn dropped() -> Error {
    Error::Upgrade(
        "the runtime dropped the task of the connection before its handler ran: \
         it was shut down, or its executor no longer exists"
            .into(),
    )
}

/// Makes the task of a connection: waits for its socket, and runs the handler.
///
/// It holds as little as it can: a server has one for each socket.
pub(super) fn handling<Fut: Future<Output = ()> + Send + 'static>(
    upgrading: Upgrading,
    handler: impl FnOnce(WebSocket) -> Fut + Send + 'static,
    guard: Guard,
) -> BoxFuture<'static, ()> {
    let task = async move {
        let upgraded = AssertUnwindSafe(upgrading).catch_unwind().await;
        let panicked = |_| Err(Error::Upgrade("its future has panicked".into()));
        match upgraded.unwrap_or_else(panicked) {
            Ok(socket) => {
                guard.disarm();
                handler(socket).await;
            }
            Err(error) => guard.fail(error),
        }
    };
    // The panic hook has reported it, and the socket closes as it is dropped.
    Box::pin(AssertUnwindSafe(task).catch_unwind().map(drop))
}
