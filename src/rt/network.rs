//! What a client needs of a runtime: addresses, and connections to them.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    thread,
};

use futures_channel::oneshot;
use futures_core::future::BoxFuture;

use super::Runtime;
use crate::io::Io;

/// A runtime that a client can connect with: it resolves names and opens TCP connections.
///
/// `TokioRuntime` and `SmolRuntime` are networks. The [guide](crate::guide::clients) has one that
/// stands in front of another. The trait is object-safe: a client holds an `Arc<dyn Network>`,
/// which is also its [`Runtime`].
pub trait Network: Runtime {
    /// Resolves `host` to the addresses of a server that listens on `port`, the preferred one
    /// first.
    ///
    /// `host` is a name: for an IP address in a URI, `resolve` is not called. The default asks the
    /// resolver of the system, on a thread that ends with the answer: no thread of an executor is
    /// blocked. If you connect to many names at once, override it with a pool of threads, as the
    /// ready-made runtimes do.
    ///
    /// # Errors
    ///
    /// The future returns what the resolver says, or that no thread could be started.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped. With the default, the thread then still waits for the system.
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let host = host.to_owned();
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            let resolve = move || {
                let addresses = (&*host, port).to_socket_addrs().map(Iterator::collect);
                // Nobody waits any more if the future was dropped.
                let _ = sender.send(addresses);
            };
            thread::Builder::new()
                .name("anyws-resolver".to_owned())
                .spawn(resolve)?;
            receiver.await.map_err(io::Error::other)?
        })
    }

    /// Opens a TCP connection to `address`, with `TCP_NODELAY`: a message must not wait for the
    /// acknowledgement of the one before.
    ///
    /// # Errors
    ///
    /// The future returns the error of the connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the connection up, and closes it.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>>;
}

/// Returns the network that the calling code runs on, among those that the features enable.
///
/// It is the runtime that [`detect`](super::detect) returns: tokio inside a tokio context (feature
/// `rt-tokio`), else smol (feature `rt-smol`), else `None`.
#[must_use]
pub fn detect_network() -> Option<Arc<dyn Network>> {
    DETECTORS.iter().find_map(|detect| detect())
}

/// The ready-made networks, in the order of the runtimes.
#[expect(clippy::type_complexity, reason = "a name for it would say no more")]
const DETECTORS: &[fn() -> Option<Arc<dyn Network>>] = &[
    #[cfg(feature = "rt-tokio")]
    super::tokio::current_network,
    #[cfg(feature = "rt-smol")]
    super::smol::current_network,
];
