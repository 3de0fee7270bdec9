//! From a host to a TCP connection: its addresses, and the race between them (RFC 8305).

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use futures_core::future::BoxFuture;

use crate::{
    error::{Error, Result},
    handshake::client::ServerUri,
    io::BoxIo,
    rt::{Deadline, Network, Runtime},
};

/// How long an address may take before the next one is tried, too (RFC 8305, section 5,
/// "Connection Attempt Delay").
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Returns the addresses of the server, in the order in which they are tried.
pub(super) async fn resolve(
    network: &Arc<dyn Network>,
    server: &ServerUri,
) -> Result<Vec<SocketAddr>> {
    if let Some(ip) = server.ip() {
        return Ok(vec![SocketAddr::new(ip, server.port)]);
    }
    match network.resolve(&server.host, server.port).await {
        Ok(addresses) if !addresses.is_empty() => Ok(alternate(addresses)),
        resolved => Err(Error::Resolve {
            host: server.host.as_str().into(),
            source: resolved
                .err()
                .unwrap_or_else(|| io::ErrorKind::NotFound.into()),
        }),
    }
}

/// Opens a connection to one of the addresses.
pub(super) async fn race(network: &Arc<dyn Network>, addresses: Vec<SocketAddr>) -> Result<BoxIo> {
    let mut race = Race::new(Arc::clone(network), addresses);
    let connected = poll_fn(|cx| race.poll(cx)).await;
    connected.ok_or(Error::Connect(race.errors))
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
    waiting: vec::IntoIter<SocketAddr>,
    /// They are few, because one starts every [`ATTEMPT_DELAY`]: all are polled together.
    attempts: Vec<Attempt>,
    /// When the next address is tried although no attempt has failed.
    delay: Deadline,
    errors: Vec<(SocketAddr, io::Error)>,
}

type Attempt = (SocketAddr, BoxFuture<'static, io::Result<BoxIo>>);

impl Race {
    fn new(network: Arc<dyn Network>, addresses: Vec<SocketAddr>) -> Self {
        Self {
            network,
            waiting: addresses.into_iter(),
            attempts: Vec::new(),
            delay: Deadline::Passed,
            errors: Vec::new(),
        }
    }

    /// Waits for a connection. There is none if all addresses have failed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<BoxIo>> {
        loop {
            if let Some(stream) = self.poll_attempts(cx) {
                return Poll::Ready(Some(stream));
            }
            if self.attempts.is_empty() || self.delay.poll_passed(cx).is_ready() {
                if self.start_next() {
                    continue;
                }
                if self.attempts.is_empty() {
                    return Poll::Ready(None);
                }
            }
            return Poll::Pending;
        }
    }

    /// Polls all attempts. One that has failed gives its place to the next address.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Option<BoxIo> {
        let mut at = 0;
        while let Some((address, attempt)) = self.attempts.get_mut(at) {
            match attempt.as_mut().poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(stream)) => return Some(stream),
                Poll::Ready(Err(error)) => {
                    self.errors.push((*address, error));
                    drop(self.attempts.swap_remove(at));
                    self.start_next();
                }
            }
        }
        None
    }

    /// Starts the attempt at the next address; returns whether there is one.
    fn start_next(&mut self) -> bool {
        let Some(address) = self.waiting.next() else {
            return false;
        };
        let attempt = self.network.connect(address);
        self.attempts.push((address, attempt));
        self.delay = if self.waiting.len() == 0 {
            Deadline::Never
        } else {
            let runtime = Arc::clone(&self.network) as Arc<dyn Runtime>;
            Deadline::start(ATTEMPT_DELAY, Some(&runtime))
        };
        true
    }
}
