//! Connections over TCP, on each runtime's own network.

use std::{
    io::{self, Read},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use anyws::{ClientBuilder, Error, Message, Runtime, TimeoutPhase, WebSocket, WebSocketConfig};
use futures::{join, poll};
use smol::{Async, net::TcpListener};
use support::{network::network, runtimes};

/// Listens on loopback. Any runtime can poll it: it brings its own thread.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves one connection: echoes until its client closes.
pub(crate) async fn serve(listener: TcpListener, config: WebSocketConfig) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = anyws::accept(stream, config).await.unwrap();
    while let Some(Ok(message)) = socket.next_data().await {
        socket.send(message).await.unwrap();
    }
    socket.close(None).await.unwrap();
}

/// Demands an echo, and closes.
pub(crate) async fn ask(mut socket: WebSocket) {
    socket.send("hello".into()).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::text("hello")
    );
    socket.close(None).await.unwrap();
}

fn builder(rt: &Arc<dyn Runtime>, uri: String) -> ClientBuilder {
    ClientBuilder::new(uri).network(network(rt))
}

runtimes! {
    async fn a_client_connects_to_an_address(rt) {
        let (listener, address) = listen().await;
        let client = async {
            let (socket, response) = builder(&rt, format!("ws://{address}/a?b"))
                .connect()
                .await
                .unwrap();
            assert_eq!(response.status(), 101);
            assert_eq!(response.headers()["upgrade"], "websocket");
            assert_eq!(socket.protocol(), None);
            ask(socket).await;
        };
        join!(serve(listener, support::config(&rt)), client);
    }

    async fn a_client_resolves_a_name(rt) {
        let (listener, address) = listen().await;
        let client = async {
            let uri = format!("ws://localhost:{}", address.port());
            let (socket, _) = builder(&rt, uri).connect().await.unwrap();
            ask(socket).await;
        };
        join!(serve(listener, support::config(&rt)), client);
    }
}

runtimes! {
    async fn a_port_where_nobody_listens_refuses(rt) {
        let (listener, address) = listen().await;
        drop(listener);
        let error = builder(&rt, format!("ws://{address}"))
            .connect()
            .await
            .unwrap_err();
        let Error::Connect(errors) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(errors[0].0, address);
        assert_eq!(errors[0].1.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    /// An address of a network for documents (RFC 5737): nothing answers, or the machine says that
    /// there is no route.
    async fn an_address_that_never_answers_is_given_up(rt) {
        let connecting = builder(&rt, "ws://192.0.2.1:9/".to_owned());
        let error = connecting
            .connect_timeout(Duration::from_millis(300))
            .connect()
            .await;
        let is_told = matches!(
            error,
            Err(Error::Timeout(TimeoutPhase::Connect) | Error::Connect(_))
        );
        assert!(is_told, "{error:?}");
    }

    async fn a_future_that_is_dropped_closes_its_connection(rt) {
        let (listener, address) = listen().await;
        let client = builder(&rt, format!("ws://localhost:{}/", address.port()));
        // As far as the handshake, which nobody answers.
        for polls in 0..30 {
            let mut connecting = client.clone().connect();
            for _ in 0..polls {
                assert!(poll!(&mut connecting).is_pending());
                support::tasks::yield_to_tasks(&rt).await;
            }
            drop(connecting);
            if let Some(stream) = arrived(&listener) {
                assert_ends(stream);
            }
        }
        let mut connecting = client.clone().connect();
        let stream = loop {
            assert!(poll!(&mut connecting).is_pending());
            support::tasks::yield_to_tasks(&rt).await;
            if let Some(stream) = arrived(&listener) {
                break stream;
            }
        };
        drop(connecting);
        assert_ends(stream);
    }
}

/// Returns a connection that has arrived, if one has.
fn arrived(listener: &TcpListener) -> Option<std::net::TcpStream> {
    let listener: Arc<Async<std::net::TcpListener>> = listener.clone().into();
    let (stream, _) = listener.get_ref().accept().ok()?;
    Some(stream)
}

/// Demands that the other end has closed, or is about to.
fn assert_ends(mut stream: std::net::TcpStream) {
    stream.set_nonblocking(false).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
    }
}

/// Serves one connection on a thread of its own; returns its address.
#[cfg(any(feature = "rt-tokio", feature = "rt-smol"))]
fn server() -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        futures::executor::block_on(async {
            let (listener, address) = listen().await;
            sender.send(address).unwrap();
            serve(listener, WebSocketConfig::new()).await;
        });
    });
    receiver.recv().unwrap()
}

#[cfg(feature = "rt-tokio")]
mod on_tokio {
    use super::*;

    #[test]
    fn connecting_is_one_line() {
        let address = server();
        support::on_tokio(move |_| async move {
            let socket = anyws::connect(format!("ws://{address}")).await.unwrap();
            let runtime = socket.runtime().unwrap();
            assert!((&*runtime as &dyn std::any::Any).is::<anyws::TokioRuntime>());
            ask(socket).await;
        });
    }

    #[test]
    fn a_thread_outside_connects_by_the_handle() {
        let address = server();
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let runtime = anyws::TokioRuntime::new(tokio.handle().clone());
        support::bounded(move || {
            futures::executor::block_on(async {
                for host in [address.to_string(), format!("localhost:{}", address.port())] {
                    let client = ClientBuilder::new(format!("ws://{host}"));
                    let client = client.network(Arc::new(runtime.clone()));
                    if let Ok((socket, _)) = client.connect().await {
                        return ask(socket).await;
                    }
                }
                panic!("no address connects");
            });
        });
        drop(tokio);
    }

    #[test]
    fn a_runtime_without_io_says_so() {
        support::bounded(|| {
            let tokio = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            tokio.block_on(async {
                let error = anyws::connect("ws://127.0.0.1:1").await.unwrap_err();
                let Error::Connect(errors) = &error else {
                    panic!("{error:?}")
                };
                assert_eq!(errors[0].1.kind(), io::ErrorKind::Unsupported);
                assert!(error.to_string().contains("enable_io"), "{error}");
            });
        });
    }

    #[test]
    fn a_runtime_that_was_shut_down_is_an_error() {
        support::bounded(|| {
            let tokio = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let runtime = Arc::new(anyws::TokioRuntime::new(tokio.handle().clone()));
            drop(tokio);
            futures::executor::block_on(async {
                for host in ["127.0.0.1", "localhost"] {
                    let client = ClientBuilder::new(format!("ws://{host}:1"));
                    let error = client.network(runtime.clone()).connect().await.unwrap_err();
                    let is_told = matches!(
                        error,
                        Error::Connect(_) | Error::Resolve { .. } | Error::Timeout(_)
                    );
                    assert!(is_told, "{error:?}");
                }
            });
        });
    }
}

#[cfg(unix)]
mod over_unix_sockets {
    use smol::net::unix::UnixStream;

    use super::*;

    runtimes! {
        async fn a_client_connects_over_a_stream_of_the_users(rt) {
            let (near, far) = UnixStream::pair().unwrap();
            let serve = async {
                let mut socket = anyws::accept(far, support::config(&rt)).await.unwrap();
                while let Some(Ok(message)) = socket.next_data().await {
                    socket.send(message).await.unwrap();
                }
                socket.close(None).await.unwrap();
            };
            let client = ClientBuilder::new("ws://localhost/").config(support::config(&rt));
            let ask = async { ask(client.connect_over(near).await.unwrap().0).await };
            join!(serve, ask);
        }
    }
}

#[cfg(feature = "rt-smol")]
mod on_smol {
    use super::*;

    #[test]
    fn connecting_is_one_line() {
        let address = server();
        support::on_smol(move |_| async move {
            let socket = anyws::connect(format!("ws://{address}")).await.unwrap();
            let runtime = socket.runtime().unwrap();
            assert!((&*runtime as &dyn std::any::Any).is::<anyws::SmolRuntime>());
            ask(socket).await;
        });
    }
}

#[cfg(not(any(feature = "rt-tokio", feature = "rt-smol")))]
#[test]
fn without_a_network_it_is_said() {
    assert!(anyws::rt::detect_network().is_none());
    let error = futures::executor::block_on(anyws::connect("ws://127.0.0.1:1"));
    assert!(matches!(error, Err(Error::NoRuntime)), "{error:?}");
}
