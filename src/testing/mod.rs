//! Tests without a network: sockets, byte streams and upgrades in memory.
//!
//! [`pair`] returns two connected sockets. [`client`] and [`server`] open one on any stream: a
//! [`duplex`], whose other end lets a test send and see single bytes, or a stream of its own.
//!
//! To test a route, call it with a request that carries its own connection. [`upgrade`] returns the
//! request and the client that waits for the answer; [`Client::open`] takes the answer and returns
//! the client's socket. This works for every framework whose router can be called as a function:
//! the [guide](crate::guide::testing) has examples for axum and Volo-HTTP.
//!
//! ```
//! use anyws::{Message, WebSocket, WebSocketUpgrade, http, testing};
//!
//! async fn shout(mut socket: WebSocket) {
//!     while let Some(Ok(Message::Text(text))) = socket.next_data().await {
//!         let _ = socket.send(Message::text(text.to_uppercase())).await;
//!     }
//! }
//!
//! fn route(mut request: http::Request<()>) -> http::Response<String> {
//!     match WebSocketUpgrade::from_request(&mut request) {
//!         Ok(ws) => ws.on_upgrade(shout),
//!         Err(rejection) => rejection.into_response(),
//!     }
//! }
//!
//! # #[cfg(feature = "rt-smol")]
//! smol::block_on(async {
//!     let (request, client) = testing::upgrade("/shout");
//!     let mut socket = client.open(&route(request)).unwrap();
//!     socket.send("hello".into()).await.unwrap();
//!     assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("HELLO"));
//!     socket.close(None).await.unwrap();
//! });
//! ```

mod client;
mod duplex;

pub use self::{
    client::{Client, OpenError, upgrade, upgrade_with},
    duplex::{Duplex, duplex, duplex_with_capacity},
};
use crate::{
    config::WebSocketConfig,
    connection::Established,
    error::Result,
    handshake::client::between,
    io::{Io, boxed},
    message::Role,
    socket::WebSocket,
    tracker::Permit,
};

/// Returns two connected sockets, the client's and the server's, with the default settings.
///
/// ```
/// use anyws::{Message, testing};
///
/// # futures::executor::block_on(async {
/// let (mut client, mut server) = testing::pair();
/// client.send("hello".into()).await.unwrap();
/// assert_eq!(server.next().await.unwrap().unwrap(), Message::text("hello"));
/// # });
/// ```
#[must_use]
pub fn pair() -> (WebSocket, WebSocket) {
    let (near, far) = duplex();
    let config = WebSocketConfig::new();
    (
        socket(near, Role::Client, &config, None),
        socket(far, Role::Server, &config, None),
    )
}

/// Returns two connected sockets, the client's and the server's, with `config` for both. They agree
/// on compression as a handshake would.
///
/// There is takeover only if the settings have both
/// [`send_takeover`](crate::DeflateConfig::send_takeover) and
/// [`receive_takeover`](crate::DeflateConfig::receive_takeover), because each end has to allow what
/// the other one does. For two ends with different settings, see [`upgrade_with`].
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) if the settings cannot work, and
/// [`Error::NoRuntime`](crate::Error::NoRuntime) if a timeout was set and there is no runtime.
pub fn pair_with(config: &WebSocketConfig) -> Result<(WebSocket, WebSocket)> {
    let (near, far) = duplex();
    Ok((client(near, config)?, server(far, config)?))
}

/// Creates the client's socket on a stream whose opening handshake is done, with a server of the
/// same settings. For compression with takeover, see [`pair_with`].
///
/// The stream may be a real one, or one that misbehaves for a test. A client's frames are masked. A
/// tracker of the settings does not count it, so that it counts each pair once.
///
/// # Errors
///
/// As for [`pair_with`].
pub fn client(io: impl Io + 'static, config: &WebSocketConfig) -> Result<WebSocket> {
    check(config)?;
    Ok(socket(io, Role::Client, config, None))
}

/// Creates the server's socket on a stream whose opening handshake is done, with a client of the
/// same settings. A tracker of the settings counts it. For compression with takeover, see
/// [`pair_with`].
///
/// # Errors
///
/// As for [`pair_with`], and [`Error::Rejected`](crate::Error::Rejected) if the tracker refuses it.
pub fn server(io: impl Io + 'static, config: &WebSocketConfig) -> Result<WebSocket> {
    check(config)?;
    let tracker = config.tracker.as_ref();
    let permit = tracker.map(|tracker| tracker.permit(None)).transpose()?;
    Ok(socket(io, Role::Server, config, permit))
}

fn check(config: &WebSocketConfig) -> Result<()> {
    config.validate()?;
    config.check_timeouts(config.find_runtime(None).as_ref())
}

fn socket(
    io: impl Io + 'static,
    role: Role,
    config: &WebSocketConfig,
    permit: Option<Permit>,
) -> WebSocket {
    let deflate = config.usable_deflate();
    let agreed = deflate.and_then(|deflate| between(deflate, deflate));
    let compression = agreed.map(|(for_client, for_server)| match role {
        Role::Client => for_client,
        Role::Server => for_server,
    });
    WebSocket::new(Established {
        label: None,
        permit,
        io: boxed(io),
        read_ahead: Vec::new(),
        role,
        protocol: None,
        compression,
        config,
        runtime: config.find_runtime(None),
    })
}
