//! `wss`: which servers are believed, before any byte of the WebSocket is sent.

use std::{io, sync::Arc, time::Duration};

use anyws::{
    ClientBuilder, Error, Io, Message, TimeoutPhase, WebSocket, WebSocketConfig,
    rustls::{self, CertificateError, ClientConfig, RootCertStore, ServerConfig, crypto::ring},
    testing,
};
use futures::{AsyncReadExt, AsyncWriteExt, join};
use futures_rustls::{
    TlsAcceptor,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::TlsStream,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use support::{config, network::network, runtimes, time::Paused};

use crate::connecting::{ask, listen};

/// An authority of the test's own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self {
            issuer,
            certificate,
        }
    }

    /// Returns an acceptor with a certificate for these names, which has expired or not.
    fn acceptor(&self, names: &[&str], has_expired: bool) -> TlsAcceptor {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if has_expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        acceptor(certificate.der().clone(), &key)
    }

    /// Returns the settings of a client that believes this authority alone.
    fn believed(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    // As a server of HTTP/2 has it, which prefers that.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// The server's end of TLS.
async fn secured<T: Io + 'static>(io: T, acceptor: TlsAcceptor) -> io::Result<TlsStream<T>> {
    acceptor.accept(io).await
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next_data().await {
        socket.send(message).await.unwrap();
    }
    socket.close(None).await.unwrap();
}

/// Lets a client connect over a stream in memory to a server with this acceptor. Returns the error,
/// and what came to the server after the TLS handshake, if that was done.
async fn refused(client: ClientBuilder, acceptor: TlsAcceptor) -> (rustls::Error, Option<Vec<u8>>) {
    let (near, far) = testing::duplex();
    let serve = async {
        let mut stream = secured(far, acceptor).await.ok()?;
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received).await;
        Some(received)
    };
    let (opened, received) = join!(client.connect_over(near), serve);
    let Err(Error::Tls(error)) = opened else {
        panic!("{opened:?}")
    };
    let error = error
        .into_inner()
        .expect("an error of rustls")
        .downcast()
        .unwrap();
    (*error, received)
}

runtimes! {
    async fn rule_19_a_server_with_a_certificate_of_a_known_authority_is_believed(rt) {
        let authority = Authority::new();
        let acceptor = authority.acceptor(&["localhost", "127.0.0.1"], false);
        for host in ["localhost", "127.0.0.1"] {
            let (listener, address) = listen().await;
            let client = ClientBuilder::new(format!("wss://{host}:{}", address.port()))
                .tls(authority.believed())
                .network(network(&rt))
                .config(config(&rt));
            let serve = async {
                let (stream, _) = listener.accept().await.unwrap();
                let stream = secured(stream, acceptor.clone()).await.unwrap();
                let (_, session) = stream.get_ref();
                assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
                let named = (host == "localhost").then_some(host);
                assert_eq!(
                    session.server_name(),
                    named,
                    "an address is no name (RFC 6066)"
                );
                echo(anyws::accept(stream, config(&rt)).await.unwrap()).await;
            };
            let ask = async { ask(client.connect().await.unwrap().0).await };
            join!(serve, ask);
        }
    }

    async fn rule_19_no_other_server_is_believed_and_none_sees_a_request(rt) {
        let authority = Authority::new();
        let client = |authority: &Authority| {
            let client = ClientBuilder::new("wss://localhost/secret").config(config(&rt));
            client.tls(authority.believed())
        };
        let expired = authority.acceptor(&["localhost"], true);
        let (error, received) = refused(client(&authority), expired).await;
        let rustls::Error::InvalidCertificate(reason) = error else {
            panic!("{error:?}")
        };
        assert!(
            matches!(reason, CertificateError::ExpiredContext { .. }),
            "{reason:?}"
        );
        assert_eq!(received, None);

        let other = authority.acceptor(&["other.example"], false);
        let (error, received) = refused(client(&authority), other).await;
        let rustls::Error::InvalidCertificate(reason) = error else {
            panic!("{error:?}")
        };
        assert!(
            matches!(reason, CertificateError::NotValidForNameContext { .. }),
            "{reason:?}"
        );
        assert_eq!(received, None);

        let stranger = Authority::new().acceptor(&["localhost"], false);
        let (error, received) = refused(client(&authority), stranger).await;
        let rustls::Error::InvalidCertificate(reason) = error else {
            panic!("{error:?}")
        };
        // Both authorities have the same name, so the signature is looked at.
        let is_unknown = matches!(
            reason,
            CertificateError::UnknownIssuer | CertificateError::BadSignature
        );
        assert!(is_unknown, "{reason:?}");
        assert_eq!(received, None);

        // Nobody that Mozilla knows has signed it.
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let own = acceptor(own.cert.der().clone(), &own.signing_key);
        let client = ClientBuilder::new("wss://localhost/secret").config(config(&rt));
        let (error, received) = refused(client, own).await;
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!((error, received), (unknown, None));
    }

    async fn a_client_of_tls_never_speaks_in_plain_text(rt) {
        let (near, mut far) = testing::duplex();
        let client = ClientBuilder::new("wss://localhost/").config(config(&rt));
        let serve = async {
            let mut first = [0];
            far.read_exact(&mut first).await.unwrap();
            assert_eq!(first, [22], "a handshake of TLS (RFC 8446, section 5.1)");
            far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
            let mut rest = Vec::new();
            far.read_to_end(&mut rest).await.unwrap();
            assert!(!rest.windows(3).any(|bytes| bytes == b"GET"));
        };
        let (opened, ()) = join!(client.connect_over(near), serve);
        assert!(matches!(opened, Err(Error::Tls(_))), "{opened:?}");
    }

    async fn a_server_that_ends_in_the_tls_handshake_is_told(rt) {
        let (near, far) = testing::duplex();
        drop(far);
        let client = ClientBuilder::new("wss://localhost/").config(config(&rt));
        let opened = client.connect_over(near).await;
        assert!(matches!(opened, Err(Error::Tls(_))), "{opened:?}");
    }

    async fn the_tls_handshake_has_to_be_done_within_the_connect_timeout(rt) {
        let paused = Paused::new(&rt);
        let (near, _far) = testing::duplex();
        let client = ClientBuilder::new("wss://localhost/").config(paused.config());
        let connecting = paused.run(client.connect_over(near));
        paused.advance(Duration::from_secs(10)).await;
        let opened = connecting.await.unwrap();
        assert!(
            matches!(opened, Err(Error::Timeout(TimeoutPhase::Tls))),
            "{opened:?}"
        );
        assert_eq!(paused.timers(), 0);
    }

    async fn large_messages_and_the_close_go_over_tls_both_ways(rt) {
        let authority = Authority::new();
        let acceptor = authority.acceptor(&["localhost"], false);
        let (near, far) = testing::duplex();
        let client = ClientBuilder::new("wss://localhost/").tls(authority.believed());
        let client = client.config(config(&rt)).connect_over(near);
        let serve = async {
            let stream = secured(far, acceptor).await.unwrap();
            let mut socket = anyws::accept(stream, config(&rt)).await.unwrap();
            for _ in 0..3 {
                let message = socket.next().await.unwrap().unwrap();
                socket.send(message).await.unwrap();
            }
            // The client reads what was sent before the Close, and answers it.
            socket.send("bye".into()).await.unwrap();
            socket.close((4000, "done")).await.unwrap();
        };
        let ask = async {
            let (mut socket, _) = client.await.unwrap();
            for length in [0, 100, 3_000_000] {
                let message = Message::binary(vec![7; length]);
                let (mut sender, mut receiver) = socket.split();
                let (sent, received) = join!(sender.send(message.clone()), receiver.next());
                sent.unwrap();
                assert_eq!(received.unwrap().unwrap(), message);
                socket = sender.reunite(receiver).unwrap();
            }
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("bye"));
            let Message::Close(Some(frame)) = socket.next().await.unwrap().unwrap() else {
                panic!("no Close");
            };
            assert_eq!((u16::from(frame.code), &*frame.reason), (4000, "done"));
            assert!(socket.next().await.is_none());
            socket.close(None).await.unwrap();
        };
        join!(serve, ask);
    }

    /// `Io` demands it of a stream: the closing handshake reads until the peer has closed, too.
    async fn closing_leaves_the_read_side_open(rt) {
        let authority = Authority::new();
        let acceptor = authority.acceptor(&["localhost"], false);
        let (near, far) = testing::duplex();
        let client = ClientBuilder::new("wss://localhost/").tls(authority.believed());
        let client = client.config(config(&rt)).connect_over(near);
        let serve = async {
            let stream = secured(far, acceptor).await.unwrap();
            let mut socket = anyws::accept(stream, config(&rt)).await.unwrap();
            let Some(Ok(Message::Close(_))) = socket.next().await else {
                panic!("no Close")
            };
            socket.close(None).await.unwrap();
        };
        let ask = async {
            let (mut socket, _) = client.await.unwrap();
            // Ends well only if the server's Close and the end of its stream were read.
            socket.close((1000, "bye")).await.unwrap();
            assert_eq!(
                socket.close_frame().map(|frame| u16::from(frame.code)),
                Some(1000)
            );
        };
        join!(serve, ask);
    }
}

#[test]
fn the_settings_of_the_user_keep_all_but_the_protocol() {
    // A server of HTTP/2 would be asked for HTTP/2.
    let mut config = ClientConfig::clone(&Authority::new().believed());
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.enable_sni = false;
    let (near, mut far) = testing::duplex();
    let client = ClientBuilder::new("wss://localhost/").tls(Arc::new(config));
    let mut connecting = client.config(WebSocketConfig::new()).connect_over(near);
    support::bounded(move || {
        futures::executor::block_on(async {
            assert!(futures::poll!(&mut connecting).is_pending());
            let mut hello = vec![0; 4096];
            let length = far.read(&mut hello).await.unwrap();
            hello.truncate(length);
            let has = |text: &[u8]| hello.windows(text.len()).any(|bytes| bytes == text);
            assert!(has(b"\x08http/1.1") && !has(b"\x02h2"));
            assert!(!has(b"localhost"));
        });
    });
}
