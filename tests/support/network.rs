//! Networks for clients: that of the runtime a test runs on, and one in memory.

use std::{
    any::Any,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Instant,
};

use anyws::{
    Io, Network, Runtime, Sleep,
    testing::{Duplex, duplex},
};
use futures::{FutureExt, future::BoxFuture};

use crate::threads::ThreadRuntime;

/// A network of the user's own: it has no more than it needs, so the default resolves names.
impl Network for ThreadRuntime {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            let stream = smol::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

/// Returns the runtime of a test as a network.
pub fn network(runtime: &Arc<dyn Runtime>) -> Arc<dyn Network> {
    let any: Arc<dyn Any + Send + Sync> = Arc::clone(runtime) as _;
    as_network::<ThreadRuntime>(&any)
        .or_else(|| ready_made(&any))
        .expect("each runtime of the tests is a network")
}

type AnyArc = Arc<dyn Any + Send + Sync>;

fn as_network<T: Network>(runtime: &AnyArc) -> Option<Arc<dyn Network>> {
    let network = Arc::clone(runtime).downcast::<T>().ok()?;
    Some(network)
}

#[allow(clippy::type_complexity, reason = "a name for it would say no more")]
fn ready_made(runtime: &AnyArc) -> Option<Arc<dyn Network>> {
    let networks: &[fn(&AnyArc) -> Option<Arc<dyn Network>>] = &[
        #[cfg(feature = "rt-tokio")]
        as_network::<anyws::TokioRuntime>,
        #[cfg(feature = "rt-smol")]
        as_network::<anyws::SmolRuntime>,
    ];
    networks.iter().find_map(|network| network(runtime))
}

/// What an address does when a client connects to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// It refuses.
    Refuses,
    /// It never answers.
    BlackHole,
    /// It accepts.
    Accepts,
}

/// A network in memory with one name, which has some addresses. Tasks and timers are those of
/// another runtime.
pub struct Scripted {
    runtime: Arc<dyn Runtime>,
    addresses: Vec<(SocketAddr, Address)>,
    /// Whether names are resolved.
    answers: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    resolved: Vec<String>,
    tried: Vec<SocketAddr>,
    accepted: Vec<Duplex>,
    /// How many attempts are waited for.
    open: Arc<()>,
}

impl Scripted {
    pub fn new(runtime: &Arc<dyn Runtime>, addresses: &[(&str, Address)]) -> Arc<Self> {
        let parse = |&(address, does): &(&str, Address)| (address.parse().unwrap(), does);
        Arc::new(Self {
            runtime: Arc::clone(runtime),
            addresses: addresses.iter().map(parse).collect(),
            answers: true,
            state: Mutex::default(),
        })
    }

    /// A network that never resolves a name.
    pub fn without_answers(runtime: &Arc<dyn Runtime>) -> Arc<Self> {
        Arc::new(Self {
            runtime: Arc::clone(runtime),
            addresses: Vec::new(),
            answers: false,
            state: Mutex::default(),
        })
    }

    /// Returns the names that were resolved, with their ports.
    pub fn resolved(&self) -> Vec<String> {
        self.state.lock().unwrap().resolved.clone()
    }

    /// Returns the addresses that were tried, in order.
    pub fn tried(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.tried.iter().map(SocketAddr::to_string).collect()
    }

    /// Returns how many attempts somebody still waits for.
    pub fn open(&self) -> usize {
        Arc::strong_count(&self.state.lock().unwrap().open) - 1
    }

    /// Returns the server's end of the connection that was accepted first.
    pub fn accepted(&self) -> Option<Duplex> {
        let mut state = self.state.lock().unwrap();
        (!state.accepted.is_empty()).then(|| state.accepted.remove(0))
    }
}

impl Network for Scripted {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let name = format!("{host}:{port}");
        self.state.lock().unwrap().resolved.push(name);
        let addresses = self.addresses.iter().map(|(address, _)| *address).collect();
        if !self.answers {
            return futures::future::pending().boxed();
        }
        async { Ok(addresses) }.boxed()
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let mut state = self.state.lock().unwrap();
        state.tried.push(address);
        let open = Arc::clone(&state.open);
        let mut addresses = self.addresses.iter();
        let does = addresses.find(|(known, _)| *known == address);
        match does.map_or(Address::Refuses, |(_, does)| *does) {
            Address::Refuses => {
                let refused = io::ErrorKind::ConnectionRefused;
                async move { Err(refused.into()) }.boxed()
            }
            Address::BlackHole => async move {
                futures::future::pending::<()>().await;
                drop(open);
                Err(io::ErrorKind::TimedOut.into())
            }
            .boxed(),
            Address::Accepts => {
                let (near, far) = duplex();
                state.accepted.push(far);
                async move { Ok(Box::new(near) as Box<dyn Io>) }.boxed()
            }
        }
    }
}

impl Runtime for Scripted {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.runtime.spawn(task);
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.runtime.sleep_until(deadline)
    }

    fn now(&self) -> Instant {
        self.runtime.now()
    }

    fn has_timers(&self) -> bool {
        self.runtime.has_timers()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}
