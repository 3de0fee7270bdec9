//! Networks and runtimes that do a client harm, or try to.

use std::{
    fmt,
    future::Future,
    io::{self, ErrorKind},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::{Duration, Instant},
};

use anyws::{ClientBuilder, Error, Io, Network, Runtime, Sleep};
use futures::{
    AsyncWriteExt, FutureExt,
    future::{self, BoxFuture},
};
use support::{
    attack::drive,
    network::{Address, Scripted},
    runtimes,
    sockets::now,
    time::Paused,
};

use crate::attacks::{URI, request, switching, yield_now};

/// Spawns tasks nowhere, and connects as it is told.
struct Odd {
    addresses: usize,
    connect: fn() -> BoxFuture<'static, io::Result<Box<dyn Io>>>,
    tried: Mutex<usize>,
}

impl Odd {
    fn new(
        addresses: usize,
        connect: fn() -> BoxFuture<'static, io::Result<Box<dyn Io>>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            addresses,
            connect,
            tried: Mutex::default(),
        })
    }
}

impl fmt::Debug for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Odd")
    }
}

impl Runtime for Odd {
    fn spawn(&self, _: BoxFuture<'static, ()>) {
        panic!("a client spawns nothing while it connects");
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        panic!("there are no timers");
    }

    fn has_timers(&self) -> bool {
        false
    }
}

impl Network for Odd {
    fn resolve(&self, _: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let addresses = (0..self.addresses).map(|_| SocketAddr::from(([127, 0, 0, 1], port)));
        let addresses = addresses.collect();
        async { Ok(addresses) }.boxed()
    }

    fn connect(&self, _: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        *self.tried.lock().unwrap() += 1;
        (self.connect)()
    }
}

#[test]
fn many_addresses_are_tried_one_by_one() {
    let network = Odd::new(20_000, || {
        async { Err(ErrorKind::ConnectionRefused.into()) }.boxed()
    });
    let connecting = ClientBuilder::new(URI).network(network.clone()).connect();
    match drive(connecting, || true) {
        Some(Err(Error::Connect(errors))) => assert_eq!(errors.len(), 20_000),
        other => panic!("{other:?}"),
    }
    assert_eq!(*network.tried.lock().unwrap(), 20_000);
}

#[test]
fn without_timers_one_address_is_tried_at_a_time() {
    let network = Odd::new(3, || future::pending().boxed());
    let connecting = ClientBuilder::new(URI).network(network.clone()).connect();
    assert!(drive(connecting, || true).is_none());
    assert_eq!(*network.tried.lock().unwrap(), 1);
    // A timeout that was set is never ignored.
    for set in [
        ClientBuilder::connect_timeout as fn(_, _) -> _,
        ClientBuilder::handshake_timeout,
    ] {
        let builder = ClientBuilder::new(URI).network(network.clone());
        let connecting = set(builder, Duration::from_secs(1)).connect();
        assert!(matches!(now(connecting), Err(Error::NoRuntime)));
    }
    assert_eq!(*network.tried.lock().unwrap(), 1);
}

#[test]
fn a_panic_of_a_network_is_the_callers() {
    for connect in [(|| panic!("in the call")) as fn() -> _, || {
        async { panic!("in the future") }.boxed()
    }] {
        let connecting = ClientBuilder::new(URI)
            .network(Odd::new(1, connect))
            .connect();
        let caught = catch_unwind(AssertUnwindSafe(|| drive(connecting, || true)));
        assert!(caught.is_err());
    }
}

#[test]
fn a_name_without_an_address_says_so() {
    let network = Odd::new(0, || unreachable!());
    let connecting = ClientBuilder::new("ws://a.example/?token=secret")
        .network(network)
        .connect();
    let error = now(connecting).unwrap_err();
    assert!(matches!(error, Error::Resolve { .. }));
    let texts = [
        error.to_string(),
        format!("{error:#}"),
        format!("{error:?}"),
    ];
    for text in texts {
        assert!(
            text.contains("a.example") && !text.contains("secret"),
            "{text}"
        );
    }
}

runtimes! {
    async fn a_connection_that_is_given_up_anywhere_leaves_nothing(rt) {
        let mut polls = 0;
        loop {
            let time = Paused::new(&rt);
            let addresses = [
                ("127.0.0.1:80", Address::Refuses),
                ("127.0.0.2:80", Address::BlackHole),
                ("127.0.0.3:80", Address::Accepts),
            ];
            let network = Scripted::new(&(time.clone() as Arc<dyn Runtime>), &addresses);
            let mut connecting = pin!(ClientBuilder::new(URI).network(network.clone()).connect());
            let mut server = None;
            let mut is_done = false;
            for at in 0..polls {
                if connecting
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_ready()
                {
                    is_done = true;
                    break;
                }
                if at == 0 {
                    time.jump(Duration::from_millis(250));
                }
                if server.is_none()
                    && let Some(far) = network.accepted()
                {
                    server = Some(accept_slowly(far).boxed());
                }
                if let Some(server) = &mut server {
                    let _ = server
                        .as_mut()
                        .poll(&mut Context::from_waker(Waker::noop()));
                }
            }
            if is_done {
                break;
            }
            connecting.set(ClientBuilder::new(URI).connect());
            assert_eq!(network.open(), 0, "after {polls} polls");
            assert_eq!(
                (time.timers(), time.spawned()),
                (0, 0),
                "after {polls} polls"
            );
            polls += 1;
        }
        assert!(polls > 20, "only {polls} polls");
    }
}

/// Answers, a byte a poll.
async fn accept_slowly(mut far: anyws::testing::Duplex) {
    let answer = switching(&request(&mut far).await);
    for byte in answer {
        far.write_all(&[byte]).await.unwrap();
        yield_now().await;
    }
    std::future::pending::<()>().await;
}

#[cfg(feature = "rt-tokio")]
mod tokio_runtimes {
    use anyws::TokioRuntime;

    use super::*;

    fn build(
        set: fn(&mut tokio::runtime::Builder) -> &mut tokio::runtime::Builder,
    ) -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        set(builder.worker_threads(1)).build().unwrap()
    }

    #[test]
    fn without_io_connecting_is_an_error() {
        support::bounded(|| {
            for uri in ["ws://127.0.0.1:9/", "ws://localhost:9/"] {
                let tokio = build(|builder| builder.enable_time());
                let error = tokio
                    .block_on(ClientBuilder::new(uri).connect())
                    .unwrap_err();
                assert!(error.to_string().contains("enable_io"), "{error}");
                // Neither needs to know how tokio says so.
                assert!(matches!(error, Error::Connect(_)), "{error:?}");
            }
        });
    }

    #[test]
    fn a_shutdown_ends_what_connects() {
        support::bounded(|| {
            for host in ["localhost", "127.0.0.1"] {
                let tokio = build(tokio::runtime::Builder::enable_all);
                let network = Arc::new(TokioRuntime::new(tokio.handle().clone()));
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                let builder = ClientBuilder::new(format!("ws://{host}:{port}/")).network(network);
                let mut connecting = builder.clone().connect();
                // The server has the request, and is silent.
                let server = smol::unblock(move || {
                    let mut stream = listener.accept().unwrap().0;
                    io::Read::read_exact(&mut stream, &mut [0; 16]).unwrap();
                    stream
                });
                let either = future::select(&mut connecting, server);
                let future::Either::Right((_stream, _)) = futures::executor::block_on(either)
                else {
                    panic!("nobody has answered");
                };
                tokio.shutdown_timeout(Duration::from_secs(10));
                let error = futures::executor::block_on(connecting).unwrap_err();
                assert!(
                    matches!(error, Error::Io(_) | Error::Timeout(_)),
                    "{error:?}"
                );
                let error = futures::executor::block_on(builder.connect()).unwrap_err();
                let is_said = matches!(
                    error,
                    Error::Connect(_) | Error::Resolve { .. } | Error::Timeout(_)
                );
                assert!(is_said, "{error:?}");
            }
        });
    }
}
