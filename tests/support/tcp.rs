//! Servers over TCP in this process, each on a thread of its own.

use std::{
    net::{SocketAddr, TcpListener},
    thread::{self, JoinHandle},
};

use futures::channel::oneshot;
use http::StatusCode;

use crate::raw::{Raw, Request, TEXT, masked};

/// A running server, stopped on drop.
pub struct TcpServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TcpServer {
    fn start(run: impl FnOnce(TcpListener, oneshot::Receiver<()>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            address: listener.local_addr().unwrap(),
            stop: Some(stop),
            thread: Some(thread::spawn(|| run(listener, stopped))),
        }
    }

    pub fn connect(&self) -> Raw {
        Raw::connect(self.address)
    }

    /// Connects, and demands that `request` is answered 101.
    pub fn open(&self, request: &Request) -> Raw {
        let mut client = self.connect();
        client.send(&request.bytes());
        let answer = client.answer(request).expect("there is an answer");
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        client
    }

    /// Demands that `request` opens a socket that echoes and closes.
    pub fn echoes(&self, request: &Request) {
        let mut client = self.open(request);
        client.send(&masked(TEXT, b"hello"));
        assert_eq!(client.text(), "hello");
        client.send(&masked(0x88, &[]));
        assert_eq!(client.rest(), b"\x88\x00");
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(
                ended.is_some_and(|ended| ended.is_ok()),
                "the server panicked"
            );
        }
    }
}

/// Starts `serve` on a tokio runtime of one thread.
pub fn on_tokio(serve: impl AsyncFnOnce(tokio::net::TcpListener) + Send + 'static) -> TcpServer {
    TcpServer::start(|listener, stopped| {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tokio::select! {
                () = serve(listener) => {}
                _ = stopped => {}
            }
        });
    })
}

/// Starts `serve` on smol's global executor, but for the accepting itself.
pub fn on_smol(serve: impl AsyncFnOnce(smol::net::TcpListener) + Send + 'static) -> TcpServer {
    TcpServer::start(|listener, stopped| {
        let listener = smol::Async::new(listener).unwrap().into();
        let stopped = async {
            let _ = stopped.await;
        };
        smol::block_on(smol::future::or(serve(listener), stopped));
    })
}
