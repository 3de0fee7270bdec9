//! Connections that a handler drops while it is polled.
//!
//! A handler owns its socket, and an error that it returns is known only once the socket is
//! dropped: `?` drops all that the handler has on its way out. So what is dropped during a poll is
//! closed after it, with the code that says how the handler has ended.

use std::{cell::Cell, thread};

use super::Connection;

thread_local! {
    /// What was dropped so far; `None` while no handler that may fail is polled on this thread.
    static HELD: Cell<Option<Vec<Connection>>> = const { Cell::new(None) };
}

/// Holds connections that are dropped on this thread back, and closes them when it is dropped
/// itself.
///
/// It lives within one poll.
pub(crate) struct Hold {
    /// What an outer one holds: a runtime may poll a task inside another.
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

    /// Holds nothing back: what is dropped until this ends is not the outer one's.
    pub(crate) fn suspend() -> Self {
        Self {
            outer: swap(None),
            has_failed: false,
        }
    }

    /// Closes what is held, and what is dropped from now on, with 1011.
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

/// Keeps a connection that is dropped while it has to be held back; else it is given back.
///
/// One that a panic drops need not be: how it ends is known already.
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

/// Replaces what this thread holds; a thread that ends holds nothing any more.
fn swap(held: Option<Vec<Connection>>) -> Option<Vec<Connection>> {
    HELD.try_with(|place| place.replace(held))
        .unwrap_or_default()
}
