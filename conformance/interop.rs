//! Our end of the interop matrix, as client and as server.
//!
//! `cargo run --example interop --features rt-tokio,rt-smol,deflate,tls -- RUNTIME serve
//! (plain | deflate) [PEM]`, or `... RUNTIME connect URL CA`.
//!
//! The runtime is `tokio` or `smol`. PEM is a file with a certificate and its key, and CA one with
//! the certificate that the client trusts. The program ends at the first fault. README.md says what
//! the two roles do, and what they print.

use std::{io, net::SocketAddr, sync::Arc};

use anyws::{
    BoxError, ClientBuilder, CloseCode, CloseFrame, DeflateConfig, Io, Message, ServerHandshake,
    WebSocket, WebSocketConfig,
    io::TokioIo,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use futures_rustls::TlsAcceptor;

type Result<T> = std::result::Result<T, BoxError>;

/// Any free port.
const ADDRESS: &str = "127.0.0.1:0";
const PROTOCOL: &str = "interop.v1";
const GOODBYE: &str = "goodbye";
const PING: &str = "are you there?";
const CLIENT_CLOSE: (u16, &str) = (4001, "the client is done");
const SERVER_CLOSE: (u16, &str) = (4002, "the server is done");

/// Prints what this end knows of a conversation that is over.
fn print(socket: &WebSocket, messages: usize, authorization: &str) {
    let protocol = socket.protocol().unwrap_or_default();
    let compressed = socket.is_compressed();
    let close = socket.close_frame();
    let (code, reason) = match &close {
        Some(CloseFrame { code, reason }) => (u16::from(*code), reason.as_str()),
        None => (u16::from(CloseCode::Status), ""),
    };
    // Of ASCII, `Debug` is JSON.
    print!(r#"{{"protocol":{protocol:?},"authorization":{authorization:?},"code":{code},"#);
    println!(r#""reason":{reason:?},"compressed":{compressed},"messages":{messages}}}"#);
}

// The server.

/// Echoes messages. A text `goodbye` is answered with a Close.
async fn converse(io: impl Io + 'static, config: &WebSocketConfig) -> Result<()> {
    let handshake = ServerHandshake::read(io, config.clone()).await?;
    let headers = handshake.request().headers();
    let authorization = headers.get("authorization").ok_or("no `Authorization`")?;
    let authorization = authorization.to_str()?.to_owned();
    let mut socket = handshake.accept().await?;
    let mut messages = 0;
    while let Some(message) = socket.next_data().await {
        let message = message?;
        if message == Message::text(GOODBYE) {
            socket.close(SERVER_CLOSE).await?;
            break;
        }
        socket.feed(message).await?;
        messages += 1;
    }
    socket.close(None).await?;
    print(&socket, messages, &authorization);
    Ok(())
}

struct Server {
    config: WebSocketConfig,
    tls: Option<TlsAcceptor>,
}

impl Server {
    fn new(deflate: &str, pem: &[&str]) -> Result<Self> {
        let deflate = match deflate {
            "plain" => None,
            "deflate" => Some(DeflateConfig::new()),
            other => return Err(format!("{other} is neither plain nor deflate").into()),
        };
        let config = WebSocketConfig::new()
            .set_deflate(deflate)
            .set_protocols([PROTOCOL]);
        let tls = match pem {
            [] => None,
            [pem] => Some(acceptor(pem)?),
            _ => return Err("more than one certificate".into()),
        };
        Ok(Self { config, tls })
    }

    /// Serves one connection after the other.
    async fn run<T: Io + 'static>(
        &self,
        address: SocketAddr,
        accept: impl AsyncFn() -> io::Result<T>,
    ) -> Result<()> {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        println!("listening on {scheme}://{address}/");
        loop {
            let stream = accept().await?;
            match &self.tls {
                Some(tls) => converse(tls.accept(stream).await?, &self.config).await?,
                None => converse(stream, &self.config).await?,
            }
        }
    }
}

fn acceptor(pem: &str) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(pem)?.collect::<std::result::Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(pem)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

// The client.

fn trusting(ca: &str) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn messages() -> Vec<Message> {
    let noise = |length: u32| -> Vec<u8> {
        let bytes = (0..length).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
        bytes.collect()
    };
    let mut messages = vec![
        Message::text("Grüße, κόσμε 🦀"),
        Message::binary(noise(300)),
        Message::text(""),
        Message::binary(Vec::new()),
        Message::text("Words to compress. ".repeat(4000)[..70_000].to_owned()),
        Message::binary(noise(1 << 20)),
    ];
    messages.extend((0..200).map(|i| match i % 2 {
        0 => Message::binary(noise(i)),
        _ => Message::text(format!("message {i}")),
    }));
    messages
}

/// Sends all messages and compares what comes back.
async fn exchange(socket: &mut WebSocket, messages: &[Message]) -> Result<()> {
    for burst in messages.chunks(50) {
        for message in burst {
            socket.feed(message.clone()).await?;
        }
        for message in burst {
            let echo = socket.next_data().await.ok_or("the end comes early")??;
            if echo != *message {
                let (is, was) = (echo.len(), message.len());
                return Err(format!("{is} bytes come back for {was} others").into());
            }
        }
    }
    Ok(())
}

/// Holds one conversation, and closes it or lets the server do so.
async fn talk(url: &str, ca: &str, closes: bool) -> Result<()> {
    let (mut socket, _) = ClientBuilder::new(url)
        .header("authorization", "Bearer interop")
        .protocols(["other.v1", PROTOCOL])
        .config(WebSocketConfig::new().set_deflate(DeflateConfig::new()))
        .tls(trusting(ca)?)
        .connect()
        .await?;
    let messages = messages();
    exchange(&mut socket, &messages).await?;
    socket.send(Message::Ping(PING.into())).await?;
    match socket.next().await.ok_or("no pong")?? {
        Message::Pong(payload) if payload == PING => {}
        other => return Err(format!("{other:?} instead of a pong").into()),
    }
    if closes {
        socket.close(CLIENT_CLOSE).await?;
    } else {
        socket.send(Message::text(GOODBYE)).await?;
        if let Some(more) = socket.next_data().await {
            return Err(format!("{:?} instead of a Close", more?).into());
        }
        socket.close(None).await?;
    }
    print(&socket, messages.len(), "");
    Ok(())
}

async fn connect(url: &str, ca: &str) -> Result<()> {
    talk(url, ca, true).await?;
    talk(url, ca, false).await
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let on_tokio = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    };
    match arguments[..] {
        ["tokio", "connect", url, ca] => on_tokio()?.block_on(connect(url, ca)),
        ["smol", "connect", url, ca] => smol::block_on(connect(url, ca)),
        ["tokio", "serve", deflate, ref pem @ ..] => on_tokio()?.block_on(async {
            let listener = tokio::net::TcpListener::bind(ADDRESS).await?;
            let accept = async || {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(TokioIo::new(stream))
            };
            let server = Server::new(deflate, pem)?;
            server.run(listener.local_addr()?, accept).await
        }),
        ["smol", "serve", deflate, ref pem @ ..] => smol::block_on(async {
            let listener = smol::net::TcpListener::bind(ADDRESS).await?;
            let accept = async || {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            };
            let server = Server::new(deflate, pem)?;
            server.run(listener.local_addr()?, accept).await
        }),
        _ => Err("usage: interop RUNTIME (serve DEFLATE [PEM] | connect URL CA)".into()),
    }
}
