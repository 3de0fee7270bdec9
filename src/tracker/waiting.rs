//! Waiting for something at the door of a tracker.

use std::{future::poll_fn, mem, sync::Arc, task::Poll};

use super::{Shared, door::Door, lock};

/// Somebody who waits. Dropping it ends the wait.
pub(super) struct Wait {
    shared: Arc<Shared>,
    /// `None` until it has to wait.
    id: Option<u64>,
}

impl Wait {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            id: None,
        }
    }

    /// Waits until `is_over` holds.
    pub(super) async fn until(mut self, is_over: impl Fn(&Door) -> bool) {
        poll_fn(|cx| {
            let mut door = lock(&self.shared.door);
            if is_over(&door) {
                return Poll::Ready(());
            }
            let replaced = door.wait(&mut self.id, cx.waker());
            drop(door);
            drop(replaced);
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let waker = mem::take(&mut self.id).map(|id| lock(&self.shared.door).forget(id));
        drop(waker);
    }
}
