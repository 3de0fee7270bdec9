//! Permits: what a handshake holds until its socket has ended.

use std::{fmt, net::IpAddr, sync::Arc};

use super::{Shared, Tracker, client::Client, lock, seats::Seat};
use crate::{handshake::Rejection, rt::Runtime};

/// A permit for one socket, from [`Tracker::permit`](crate::Tracker::permit).
///
/// It counts until it is dropped, or until the socket that got it has ended.
#[must_use = "dropping a permit gives it back"]
pub struct Permit(Seat);

impl Permit {
    /// Takes a permit for a socket of `client`.
    pub(super) fn take(shared: &Arc<Shared>, client: Option<IpAddr>) -> Result<Self, Rejection> {
        let client = client.map(Client::from);
        let mut door = lock(&shared.door);
        // Clients are counted only if they are limited.
        let client = client.filter(|_| door.per_client.is_some());
        door.enter(client)?;
        // Under the lock: a drain that begins either refuses this permit or finds its seat.
        Ok(Self(Seat::of_socket(shared, client)))
    }

    /// Returns the tracker that it is of.
    pub(crate) fn tracker(&self) -> Tracker {
        Tracker(Arc::clone(self.0.shared()))
    }

    /// Returns a seat for the task that runs the socket's handler.
    pub(crate) fn task(&self) -> Seat {
        self.0.shared().task()
    }

    /// Returns the seat of a socket that is opened on `runtime`.
    pub(crate) fn open(self, runtime: Option<&Arc<dyn Runtime>>) -> Seat {
        if let Some(runtime) = runtime {
            let runtime = Arc::clone(runtime);
            self.0.shared().start_reports(&runtime);
            let replaced = lock(&self.0.shared().door).last_runtime.replace(runtime);
            drop(replaced);
        }
        self.0
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
