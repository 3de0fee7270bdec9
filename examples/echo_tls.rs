//! An echo server with TLS on smol, without any HTTP library.
//!
//! `cargo run --example echo_tls --features rt-smol,tls [ADDRESS] [CERTIFICATES] [KEY]`
//!
//! The certificates and the key are yours, in PEM; the defaults are `cert.pem` and `key.pem`. For a
//! test:
//!
//! ```sh
//! openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost \
//!   -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
//!   -keyout key.pem -out cert.pem
//! ```

use std::{sync::Arc, time::Duration};

use anyws::{BoxError, Io, Runtime, SmolRuntime, WebSocket, WebSocketConfig, rt};
use futures_rustls::{
    TlsAcceptor,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    rustls::{ServerConfig, crypto::ring},
};
use smol::net::TcpListener;

/// A client that has not finished its TLS handshake by then is dropped.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// Creates an acceptor from a chain of certificates and its key.
pub(crate) fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, BoxError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // A WebSocket starts as an HTTP/1.1 request.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Does both opening handshakes, on any runtime.
pub(crate) async fn open(
    stream: impl Io + 'static,
    tls: TlsAcceptor,
    runtime: Arc<dyn Runtime>,
) -> anyws::Result<WebSocket> {
    let stream = rt::timeout(&runtime, TLS_TIMEOUT, tls.accept(stream)).await??;
    anyws::accept(stream, WebSocketConfig::new().set_runtime(runtime)).await
}

/// Sends each message back unchanged.
pub(crate) async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next_data().await {
        // `feed` buffers the answer: a burst of messages is answered in one write, which
        // `next_data` does before it waits for more.
        if socket.feed(message).await.is_err() {
            break;
        }
    }
}

fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let address = argument("127.0.0.1:9001");
    let certificates = argument("cert.pem");
    let key = argument("key.pem");
    let chain = CertificateDer::pem_file_iter(&certificates)
        .and_then(Iterator::collect)
        .map_err(|error| format!("cannot read the certificates in {certificates}: {error}"))?;
    let key = PrivateKeyDer::from_pem_file(&key)
        .map_err(|error| format!("cannot read the key in {key}: {error}"))?;
    let tls = acceptor(chain, key)?;
    let runtime: Arc<dyn Runtime> = Arc::new(SmolRuntime::new());
    smol::block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on wss://{}/", listener.local_addr()?);
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    eprintln!("no connection: {error}");
                    // For example too many open files: do not stop, and do not spin.
                    rt::sleep(&runtime, Duration::from_millis(100)).await?;
                    continue;
                }
            };
            if stream.set_nodelay(true).is_err() {
                continue;
            }
            let opening = open(stream, tls.clone(), Arc::clone(&runtime));
            smol::spawn(async {
                match opening.await {
                    Ok(socket) => echo(socket).await,
                    Err(error) => eprintln!("{error:#}"),
                }
            })
            .detach();
        }
    })
}
