//! Connections that a handler drops while it is polled.
//!
//! A handler owns its socket, and `?` drops the socket before the handler returns its error. So a
//! socket that is dropped during a poll is closed after that poll, with the code for the handler's
//! result.

use std::{cell::Cell, thread};

use super::Connection;

thread_local! {
    /// The connections dropped so far. `None` while this thread polls no handler that may fail.
    static HELD: Cell<Option<Vec<Connection>>> = const { Cell::new(None) };
}

/// Holds back connections that are dropped on this thread, and closes them when the `Hold` itself
/// is dropped.
///
/// It lives within one poll.
pub(crate) struct Hold {
    /// The connections that an outer `Hold` holds: a runtime may poll a task inside another.
    outer: Option<Vec<Connection>>,
    has_failed: bool,
}

impl Hold {
    pub(crate) fn begin() -> Self {
        Self {
            outer: swap(Some(Vec::new())),
            has_failed: false,
        }
    }

    /// Suspends the outer `Hold`: connections dropped until this ends are closed at once.
    pub(crate) fn suspend() -> Self {
        Self {
            outer: swap(None),
            has_failed: false,
        }
    }

    /// Closes the connections held so far, and those dropped from now on, with 1011.
    pub(crate) fn fail(&mut self) {
        self.has_failed = true;
        self.close(swap(Some(Vec::new())));
    }

    fn close(&self, held: Option<Vec<Connection>>) {
        for connection in held.into_iter().flatten() {
            connection.close_dropped(self.has_failed);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let held = swap(self.outer.take());
        self.close(held);
    }
}

/// Keeps a dropped connection if it has to be held back; otherwise returns it.
///
/// A connection that a panic drops is not held back: its close code is already known.
pub(super) fn keep(connection: Connection) -> Option<Connection> {
    if thread::panicking() {
        return Some(connection);
    }
    let mut held = swap(None);
    let connection = match &mut held {
        Some(held) => {
            held.push(connection);
            None
        }
        None => Some(connection),
    };
    swap(held);
    connection
}

/// Replaces the connections that this thread holds. A thread that is ending holds none.
fn swap(held: Option<Vec<Connection>>) -> Option<Vec<Connection>> {
    HELD.try_with(|slot| slot.replace(held)).unwrap_or_default()
}
