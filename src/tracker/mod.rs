//! The tracker of a server's sockets: it counts them, refuses more, and ends them in order.
//!
//! The door counts; a seat is the place through which a socket or a task is called. The driver of a
//! connection asks its seat what is wanted of it, where its task waits.

mod client;
mod door;
mod drain;
mod guard;
#[cfg(all(test, anyws_loom))]
mod loom_tests;
pub(crate) mod metrics;
mod permit;
mod record;
mod report;
mod seats;
mod waiting;

use std::{
    fmt,
    future::Future,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
    task::Waker,
};

use http::request::Parts;

use self::{
    door::{Door, PerClient},
    seats::Seats,
    waiting::Wait,
};
pub use self::{
    drain::{Drain, Drained},
    metrics::{ClosedBy, End, Meta, Metrics, Traffic},
    permit::Permit,
};
pub(crate) use self::{
    guard::Guarded,
    record::Record,
    seats::{Notice, Released, Seat},
};
use crate::{
    handshake::Rejection,
    message::{CloseCode, CloseFrame},
    rt::{self, Runtime},
    sync::{AtomicBool, Mutex, MutexGuard, Ordering},
};

/// Counts the sockets of a server, limits their number, and ends them when the server shuts down.
///
/// Clones are the same tracker. Give it to a server in one of two ways; handlers need no code:
///
/// - In the extensions of the requests: `axum::Extension` or Volo's `Extension` as a layer, or the
///   service itself on hyper. Then a handshake is refused before its handler runs.
/// - By [`WebSocketConfig::set_tracker`], also for bare streams. Then
///   [`on_upgrade`](crate::WebSocketUpgrade::on_upgrade) and [`accept`](crate::accept) refuse, and
///   the error is [`Error::Rejected`].
///
/// A socket of a request that has both counts in the first one only.
///
/// ```
/// use anyws::{Drain, Tracker, WebSocket, WebSocketUpgrade, http::{Request, Response}};
///
/// # async fn handle_socket(_: WebSocket) {}
/// /// A service of a server on hyper.
/// fn service<T>(mut request: Request<T>, tracker: &Tracker) -> Response<String> {
///     request.extensions_mut().insert(tracker.clone());
///     match WebSocketUpgrade::from_request(&mut request) {
///         Ok(ws) => ws.on_upgrade(handle_socket),
///         Err(rejection) => rejection.into_response(),
///     }
/// }
///
/// /// Ends all sockets of that server.
/// async fn shut_down(tracker: &Tracker) {
///     tracker.drain(Drain::new()).await;
/// }
/// ```
///
/// The guide on [shutdown](crate::guide::shutdown) shows whole servers.
///
/// [`WebSocketConfig::set_tracker`]: crate::WebSocketConfig::set_tracker
/// [`Error::Rejected`]: crate::Error::Rejected
#[derive(Clone)]
#[must_use]
pub struct Tracker(Arc<Shared>);

/// What the clones of a tracker share.
#[derive(Default)]
struct Shared {
    door: Mutex<Door>,
    seats: Seats,
    /// A drain has begun. Sockets that never wait look at this.
    is_draining: AtomicBool,
    /// The deadline of a drain has passed.
    is_aborted: AtomicBool,
}

impl Tracker {
    /// Returns a tracker that counts sockets and limits nothing.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Sets how many sockets may be open; default no limit. Further handshakes are refused with 503
    /// ([`Rejection::TooManySockets`]). It holds for all clones.
    pub fn max_sockets(self, max: usize) -> Self {
        lock(&self.0.door).max_sockets = Some(max);
        self
    }

    /// Sets how many sockets one client may have open; default no limit. Further handshakes are
    /// refused with 429 ([`Rejection::TooManyPerClient`]). It holds for all clones.
    ///
    /// `key` returns the client's address, or `None` for a request that is not limited. Its second
    /// argument is the peer's address, where the server passes it on: only Volo does so by itself.
    /// In axum, `key` finds a `ConnectInfo` in the extensions of the request; elsewhere, put an
    /// address there yourself. IPv6 addresses count by their /64, because a client may use all
    /// addresses of one.
    ///
    /// Behind a proxy, the peer is the proxy. Take the client from `Forwarded` or `X-Forwarded-For`
    /// then, but only if the peer is a proxy of yours: everybody else may write what they like. The
    /// guide on [limits](crate::guide::limits) has such a `key`. A `key` that does not know the
    /// proxy limits all of its clients together.
    ///
    /// ```
    /// use std::net::{IpAddr, SocketAddr};
    ///
    /// use anyws::Tracker;
    ///
    /// // A server that puts the peer's address into the request.
    /// let tracker = Tracker::new().max_per_client(10, |request, _| {
    ///     request.extensions.get::<SocketAddr>().map(SocketAddr::ip)
    /// });
    /// ```
    ///
    /// A `key` needs the request. If the tracker is that of a config and the handshake came through
    /// an extractor, the request is not known any more: the upgrade fails with
    /// [`ConfigError::TrackerNeedsRequest`](crate::ConfigError::TrackerNeedsRequest). Put such a
    /// tracker into the request's extensions.
    ///
    /// # Panics
    ///
    /// This method does not. If `key` panics, the panic reaches whoever handles the request, and
    /// the request is not counted.
    pub fn max_per_client(
        self,
        max: usize,
        key: impl Fn(&Parts, Option<IpAddr>) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        let key = Arc::new(key);
        let replaced = lock(&self.0.door)
            .per_client
            .replace(PerClient { max, key });
        drop(replaced);
        self
    }

    /// Sets the runtime whose timers [`drain`](Self::drain) uses; default the one of the socket
    /// that was opened last, else [`rt::detect`]. It holds for all clones.
    pub fn runtime(self, runtime: Arc<dyn Runtime>) -> Self {
        let replaced = lock(&self.0.door).runtime.replace(runtime);
        drop(replaced);
        self
    }

    /// Sets what receives the metrics of the sockets; default nothing. It holds for all clones, and
    /// for sockets that are opened from now on.
    pub fn metrics(self, metrics: impl Metrics) -> Self {
        let metrics = Arc::new(metrics);
        let replaced = lock(&self.0.door).metrics.replace(metrics);
        drop(replaced);
        self
    }

    /// Returns how many sockets are open, and how many handshakes under way.
    ///
    /// A socket counts from its permit until both ends have closed and its write side is shut
    /// down. One that was dropped counts while it closes in the background; it does not count while
    /// it only waits for the peer to end the TCP connection.
    #[must_use]
    pub fn open(&self) -> usize {
        lock(&self.0.door).open
    }

    /// Takes a permit for a socket of `client`, for a server on bare streams:
    /// [`ServerHandshake::permit`] gives it to the socket.
    ///
    /// `client` counts for [`max_per_client`](Self::max_per_client); its `key` is not called. With
    /// `None`, only the number of all sockets is limited. Dropping the permit gives it back.
    ///
    /// # Errors
    ///
    /// [`Rejection::Draining`], [`Rejection::TooManySockets`] or [`Rejection::TooManyPerClient`].
    ///
    /// [`ServerHandshake::permit`]: crate::ServerHandshake::permit
    pub fn permit(&self, client: impl Into<Option<IpAddr>>) -> Result<Permit, Rejection> {
        Permit::take(&self.0, client.into())
    }

    /// Drives a future that is dropped at the deadline of a [`drain`](Self::drain), and then
    /// returns `None`. A drain waits for it.
    ///
    /// It is for tasks of your own on bare streams: a handler of
    /// [`on_upgrade`](crate::WebSocketUpgrade::on_upgrade) is guarded already.
    ///
    /// ```
    /// use anyws::{Io, Tracker, WebSocketConfig, accept};
    ///
    /// async fn connection(tracker: Tracker, stream: impl Io + 'static) -> anyws::Result<()> {
    ///     let config = WebSocketConfig::new().set_tracker(tracker.clone());
    ///     // Not guarded: a drain would wait for a client that sends no request.
    ///     let mut socket = accept(stream, config).await?;
    ///     let handler = async move {
    ///         while let Some(message) = socket.next_data().await {
    ///             socket.send(message?).await?;
    ///         }
    ///         Ok(())
    ///     };
    ///     tracker.guard(handler).await.unwrap_or(Ok(()))
    /// }
    /// ```
    pub fn guard<F: Future>(&self, future: F) -> impl Future<Output = Option<F::Output>> + use<F> {
        Guarded::new(future, self.0.task())
    }

    /// Returns whether a drain has begun: for health checks.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.is_draining()
    }

    /// Waits until a drain begins: for accept loops, and for handlers that say goodbye.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        Wait::new(&self.0).until(|door| door.plan.is_some())
    }

    /// Takes a permit for a request.
    pub(crate) fn admit(&self, request: &Parts, peer: Option<IpAddr>) -> Result<Permit, Rejection> {
        let per_client = lock(&self.0.door).per_client.clone();
        let client = per_client.and_then(|it| (it.key)(request, peer));
        Permit::take(&self.0, client)
    }

    /// Tells the metrics of a handshake that was refused.
    pub(crate) fn refused(&self, rejection: &Rejection) {
        let metrics = lock(&self.0.door).metrics.clone();
        if let Some(metrics) = metrics {
            metrics::tell(&*metrics, |metrics| metrics.refused(rejection));
        }
    }

    /// Returns whether it tells clients apart by their requests.
    pub(crate) fn needs_request(&self) -> bool {
        lock(&self.0.door).per_client.is_some()
    }
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker")
            .field("open", &self.open())
            .field("is_draining", &self.0.is_draining())
            .finish_non_exhaustive()
    }
}

impl Shared {
    #[inline]
    fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    fn set_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::Acquire)
    }

    fn set_aborted(&self) {
        self.is_aborted.store(true, Ordering::Release);
    }

    /// Takes a seat for a task.
    fn task(self: &Arc<Self>) -> Seat {
        lock(&self.door).tasks += 1;
        Seat::of_task(self)
    }

    /// Counts somebody no more. Returns whom to tell.
    fn leave(self: &Arc<Self>, leave: impl FnOnce(&mut Door) -> Vec<Waker>) -> Released {
        let mut door = lock(&self.door);
        let waiting = leave(&mut door);
        let is_unreported = door.open == 0 || !door.is_reporting;
        Released {
            waiting,
            unreported: is_unreported.then(|| Arc::clone(self)),
        }
    }

    /// Returns the runtime whose timers a drain uses.
    fn timers(&self) -> Option<Arc<dyn Runtime>> {
        let known = {
            let door = lock(&self.door);
            [door.runtime.clone(), door.last_runtime.clone()]
        };
        let mut runtimes = known.into_iter().flatten().chain(rt::detect());
        runtimes.find(|runtime| runtime.has_timers())
    }

    /// Returns the Close for the sockets of a drain.
    fn close_frame(&self) -> CloseFrame {
        let door = lock(&self.door);
        let code = door
            .plan
            .as_ref()
            .map_or(CloseCode::Away, drain::Plan::code);
        drain::close_frame(code)
    }
}

/// Wakes tasks. A waker that panics must not keep the others from being woken.
fn wake(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}

/// Nothing that runs under these locks panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
