//! The connection under a server's request, and where to find it.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use futures_core::future::BoxFuture;
use http::Extensions;

use crate::{
    error::BoxError,
    io::{BoxIo, Io, boxed},
};

/// A connection that a server hands over once its 101 response is sent. It is for servers that are
/// not built on hyper, and for tests.
///
/// The server puts one into the extensions of the request before the handler gets it. It can be
/// cloned, because extensions have to be, but only one extractor gets the connection.
///
/// ```
/// use std::future::Future;
///
/// use anyws::{BoxError, Io, UpgradeIo, http::Request};
///
/// /// Prepares a request in a server whose `upgraded` is ready once the 101 response is sent.
/// fn prepare<T: Io + 'static>(
///     request: &mut Request<()>,
///     upgraded: impl Future<Output = Result<T, BoxError>> + Send + 'static,
/// ) {
///     request.extensions_mut().insert(UpgradeIo::new(upgraded));
/// }
/// ```
///
/// [`WebSocketUpgrade`]: crate::WebSocketUpgrade
#[derive(Clone)]
pub struct UpgradeIo(Arc<Mutex<Option<Upgrade>>>);

/// A future of the stream of a connection.
pub(super) type Upgrade = BoxFuture<'static, Result<BoxIo, BoxError>>;

impl UpgradeIo {
    /// Creates a connection from `upgrade`, a future of its stream.
    ///
    /// If the future fails, `on_failed_upgrade` gets the error as
    /// [`Error::Upgrade`](crate::Error::Upgrade).
    pub fn new<T: Io + 'static>(
        upgrade: impl Future<Output = Result<T, BoxError>> + Send + 'static,
    ) -> Self {
        let upgrade = async move { upgrade.await.map(boxed) };
        Self(Arc::new(Mutex::new(Some(Box::pin(upgrade)))))
    }

    fn take(&self) -> Option<Upgrade> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for UpgradeIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeIo").finish_non_exhaustive()
    }
}

/// Takes the connection out of a request, from any of the sources.
pub(super) fn take(extensions: &mut Extensions) -> Option<Upgrade> {
    SOURCES.iter().find_map(|take| take(extensions))
}

/// The sources of connections: where servers put them in a request.
const SOURCES: &[fn(&mut Extensions) -> Option<Upgrade>] = &[
    |extensions| extensions.remove::<UpgradeIo>()?.take(),
    #[cfg(feature = "hyper")]
    super::hyper::take,
];
