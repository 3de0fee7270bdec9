//! One connection through the proxy, from its beginning to the last of what it holds.

use std::{
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyws::{Io, Runtime, rt};
use rustix::net::sockopt;
use support::chaos::{Fault, Plan, Proxy, SMALL_BUFFER};

use crate::{
    client::{self, Heard, Talk},
    leaks::{Counting, Descriptor},
    server::{Served, serve},
};

/// What a busy machine may add to any time.
pub(crate) const SLACK: Duration = Duration::from_secs(2);

/// A handler that is not told of an end for longer has been forgotten.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection: what is said, what goes wrong, and the server's timeouts.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) plan: Plan,
    pub(crate) talk: Talk,
    pub(crate) limit: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) served: Served,
    pub(crate) heard: Heard,
    /// The fault has begun.
    pub(crate) has_begun: bool,
    /// How many times the proxy has written.
    pub(crate) writes: usize,
    /// How long it took until the handler was told of the end.
    pub(crate) took: Duration,
}

impl Case {
    /// Runs the connection on the current thread, and demands that the server's descriptor is
    /// closed and its task has ended in time, while the fault lasts.
    pub(crate) async fn run<I: Io + 'static>(
        &self,
        runtime: &Arc<Counting>,
        open: fn(TcpStream) -> I,
    ) -> Outcome {
        let _name = Name(self);
        let started = Instant::now();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (proxy, raw) = Proxy::connect(listener.local_addr().unwrap(), self.plan);
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        if self.plan.fault.needs_small_buffers() {
            sockopt::set_socket_send_buffer_size(&stream, SMALL_BUFFER).unwrap();
        }
        let socket = Descriptor::of(&stream);
        let talk = self.talk.clone();
        let client = thread::spawn(move || client::run(raw, &talk));

        let counting: Arc<dyn Runtime> = Arc::clone(runtime) as _;
        let served = serve(open(stream), &counting, self.limit, &self.talk);
        let served = rt::timeout(&counting, PATIENCE, Box::pin(served)).await;
        let served = served.expect("the handler is told of an end");
        runtime.wait_for_close(&socket, self.limit + SLACK).await;
        // The clock of the timeouts goes on until its next tick.
        runtime.wait_for_tasks(1, SLACK).await;

        let took = served.at - started;
        let has_begun = proxy.has_begun();
        let writes = proxy.writes();
        proxy.end_stall();
        if self.plan.fault == Fault::NeverReads {
            // The client waits for what the proxy does not read.
            drop(proxy);
        }
        let heard = client.join().expect("the client sees nothing wrong");
        Outcome {
            served,
            heard,
            has_begun,
            writes,
            took,
        }
    }
}

/// Prints the connection if an assertion about it fails.
pub(crate) struct Name<'a>(pub(crate) &'a Case);

impl Drop for Name<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("it fails with {:?}", self.0);
        }
    }
}
