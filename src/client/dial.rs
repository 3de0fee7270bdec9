//! From a host to a TCP connection: its addresses, and the race between them (RFC 8305).

use std::{future::poll_fn, io, net::SocketAddr, sync::Arc, task::Poll, time::Duration};

use futures_core::{Stream, future::BoxFuture};
use futures_util::{
    future::{Join, Ready, join, ready},
    stream::FuturesUnordered,
};

use crate::{
    error::{Error, Result},
    handshake::client::ServerUri,
    io::BoxIo,
    rt::{Deadline, Network, Runtime},
};

/// How long an address may take before the next one is tried, too (RFC 8305, section 5,
/// "Connection Attempt Delay").
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Opens a connection to the server.
pub(super) async fn dial(network: &Arc<dyn Network>, server: &ServerUri) -> Result<BoxIo> {
    let addresses = match server.ip() {
        Some(ip) => vec![SocketAddr::new(ip, server.port)],
        None => resolve(network, server).await?,
    };
    Race::new(Arc::clone(network), alternate(addresses))
        .run()
        .await
}

async fn resolve(network: &Arc<dyn Network>, server: &ServerUri) -> Result<Vec<SocketAddr>> {
    let resolved = network.resolve(&server.host, server.port).await;
    let resolved = match resolved {
        Ok(addresses) if addresses.is_empty() => Err(io::ErrorKind::NotFound.into()),
        resolved => resolved,
    };
    resolved.map_err(|source| Error::Resolve {
        host: server.host.as_str().into(),
        source,
    })
}

/// Sorts addresses so that the families alternate, starting with that of the first one (RFC 8305,
/// section 4).
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let starts_with_6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == starts_with_6);
    let mut sorted = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let (one, other) = (first.next(), second.next());
        if one.is_none() && other.is_none() {
            return sorted;
        }
        sorted.extend(one.into_iter().chain(other));
    }
}

/// Attempts to connect to several addresses. The first connection wins, and the others are dropped.
struct Race {
    network: Arc<dyn Network>,
    waiting: std::vec::IntoIter<SocketAddr>,
    attempts: FuturesUnordered<Join<Ready<SocketAddr>, BoxFuture<'static, io::Result<BoxIo>>>>,
    /// When the next address is tried although no attempt has failed.
    delay: Deadline,
    errors: Vec<(SocketAddr, io::Error)>,
}

impl Race {
    fn new(network: Arc<dyn Network>, addresses: Vec<SocketAddr>) -> Self {
        Self {
            network,
            waiting: addresses.into_iter(),
            attempts: FuturesUnordered::new(),
            delay: Deadline::Passed,
            errors: Vec::new(),
        }
    }

    async fn run(mut self) -> Result<BoxIo> {
        let connected = poll_fn(|cx| {
            loop {
                match std::pin::Pin::new(&mut self.attempts).poll_next(cx) {
                    Poll::Ready(Some((_, Ok(stream)))) => return Poll::Ready(Some(stream)),
                    Poll::Ready(Some((address, Err(error)))) => {
                        self.errors.push((address, error));
                        self.start_next();
                    }
                    Poll::Ready(None) if !self.start_next() => return Poll::Ready(None),
                    Poll::Ready(None) => {}
                    Poll::Pending => {
                        if self.delay.poll_passed(cx).is_pending() {
                            return Poll::Pending;
                        }
                        self.start_next();
                    }
                }
            }
        })
        .await;
        connected.ok_or(Error::Connect(self.errors))
    }

    /// Starts the attempt at the next address; returns whether there is one.
    fn start_next(&mut self) -> bool {
        let Some(address) = self.waiting.next() else {
            return false;
        };
        let connecting = self.network.connect(address);
        self.attempts.push(join(ready(address), connecting));
        self.delay = if self.waiting.len() == 0 {
            Deadline::Never
        } else {
            let runtime = Arc::clone(&self.network) as Arc<dyn Runtime>;
            Deadline::start(ATTEMPT_DELAY, Some(&runtime))
        };
        true
    }
}
