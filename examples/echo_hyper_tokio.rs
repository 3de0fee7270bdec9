//! An echo server on hyper and tokio.
//!
//! `cargo run --example echo_hyper_tokio --features hyper,rt-tokio [ADDRESS]`

use std::{convert::Infallible, time::Duration};

use anyws::{DeflateConfig, WebSocket, WebSocketUpgrade};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// Sends each message back unchanged.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next_data().await {
        // `feed` buffers the answer: a burst of messages is answered in one write, which
        // `next_data` does before it waits for more.
        if socket.feed(message).await.is_err() {
            break;
        }
    }
}

async fn service(mut request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(match WebSocketUpgrade::from_request(&mut request) {
        Ok(ws) => ws
            .refusal_body(|reason| reason)
            // Failures after the 101 response are reported only here.
            .deflate(cfg!(feature = "deflate").then(DeflateConfig::new))
            .on_failed_upgrade(|error| eprintln!("no WebSocket: {error:#}"))
            .on_upgrade(echo),
        Err(rejection) => rejection.into_response(),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    // hyper limits the head of a request only by these settings.
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .max_buf_size(64 * 1024)
        .max_header_size(64 * 1024)
        .max_headers(128);
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("no connection: {error}");
                // For example too many open files: do not stop, and do not spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let connection = server
            .serve_connection(TokioIo::new(stream), service_fn(service))
            // Without this call, hyper never hands the connection over.
            .with_upgrades();
        tokio::spawn(async {
            if let Err(error) = connection.await {
                eprintln!("{error}");
            }
        });
    }
}
