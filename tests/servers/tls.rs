//! WebSockets over TLS: the recipe of `examples/echo_tls.rs`, with a certificate of the test's own.

use std::{sync::Arc, time::Duration};

use anyws::{Error, Message, Runtime, TimeoutPhase, TokioRuntime, io::TokioIo, testing};
use futures::{AsyncReadExt, AsyncWriteExt, join};
use futures_rustls::{
    TlsAcceptor, TlsConnector,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};
use http::StatusCode;
use support::{
    raw::{ACCEPT, Request},
    runtimes,
    upgrades::read_head,
};

#[path = "../../examples/echo_tls.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program")]
mod server;

/// The name in the certificate.
const NAME: &str = "localhost";

/// A server's acceptor, and a connector that trusts its certificate and nothing else.
fn tls() -> (TlsAcceptor, TlsConnector) {
    let own = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = own.cert.der().clone();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let acceptor = server::acceptor(vec![certificate], key).unwrap();
    (acceptor, TlsConnector::from(Arc::new(config)))
}

/// Lets a client echo large and small messages over the two ends of a stream, and close.
async fn assert_echoes(
    near: impl anyws::Io + 'static,
    far: impl anyws::Io + 'static,
    rt: Arc<dyn Runtime>,
) {
    let (acceptor, connector) = tls();
    let serve = async {
        let socket = server::open(near, acceptor, Arc::clone(&rt)).await.unwrap();
        server::echo(socket).await;
    };
    let ask = async {
        let name = ServerName::try_from(NAME).unwrap();
        let mut stream = connector.connect(name, far).await.unwrap();
        stream.write_all(&Request::new().bytes()).await.unwrap();
        let answer = read_head(&mut stream).await;
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(answer.headers()["sec-websocket-accept"], ACCEPT);
        let mut socket = testing::client(stream, &support::config(&rt)).unwrap();
        for length in [0, 1, 1000, 1 << 20] {
            let message = Message::binary(vec![7; length]);
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
        socket.close(None).await.unwrap();
    };
    join!(serve, ask);
}

#[test]
fn a_socket_over_tls_echoes_on_smol() {
    support::on_smol(|rt| async {
        let listener = smol::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (far, near) = join!(smol::net::TcpStream::connect(address), listener.accept());
        assert_echoes(near.unwrap().0, far.unwrap(), rt).await;
    });
}

#[test]
fn a_socket_over_tls_echoes_on_tokio() {
    support::on_tokio(|rt| async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (far, near) = join!(tokio::net::TcpStream::connect(address), listener.accept());
        let (near, far) = (TokioIo::new(near.unwrap().0), TokioIo::new(far.unwrap()));
        assert_echoes(near, far, rt).await;
    });
}

/// Time is tokio's, and paused: it passes at once where everybody waits for it.
#[test]
fn a_client_that_does_no_handshake_is_left_after_ten_seconds() {
    support::bounded(|| {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        tokio.block_on(async {
            let rt: Arc<dyn Runtime> = Arc::new(TokioRuntime::current().unwrap());
            let started = rt.now();
            let (near, _silent) = testing::duplex();
            let opened = server::open(near, tls().0, Arc::clone(&rt)).await;
            let is_late = matches!(opened, Err(Error::Timeout(TimeoutPhase::Operation)));
            assert!(is_late, "{opened:?}");
            assert!(rt.now() - started >= Duration::from_secs(10));
        });
    });
}

runtimes! {
    async fn a_client_without_tls_is_an_error(rt) {
        let (near, mut far) = testing::duplex();
        let open = server::open(near, tls().0, rt);
        let ask = async {
            far.write_all(&Request::new().bytes()).await.unwrap();
            let mut answer = Vec::new();
            far.read_to_end(&mut answer).await.unwrap();
            // An alert, as a record of TLS: no HTTP.
            assert_eq!(answer.first(), Some(&21));
        };
        let (opened, ()) = join!(open, ask);
        assert!(matches!(opened, Err(Error::Io(_))), "{opened:?}");
    }
}
