//! Connections over TCP, on each runtime's own network.

use std::{net::SocketAddr, sync::Arc};

use anyws::{ClientBuilder, Message, Runtime, WebSocket, WebSocketConfig};
use futures::join;
use smol::net::TcpListener;
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
            let (socket, response) = builder(&rt, format!("ws://{address}/a?b")).connect().await.unwrap();
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
