//! WebSocket servers and clients for any async runtime and any HTTP framework.
//!
//! One extractor, [`WebSocketUpgrade`], and one socket, [`WebSocket`], work in Volo-HTTP, in axum,
//! in servers on hyper and on bare streams, on tokio, smol or a runtime of your own. The handler is
//! the same in all of them.
//!
//! The [guides](guide) show how to move code here, write handlers, test them and deploy them.
//!
#![cfg_attr(not(doctest), doc = include_str!("framework/overview.md"))]
//!
//! # On hyper
//!
//! The service calls [`WebSocketUpgrade::from_request`], on any runtime. The server calls
//! `.with_upgrades()` on the connection that hyper's `serve_connection` returns:
//!
//! ```
//! use anyws::{WebSocket, WebSocketUpgrade};
//! use http::{Request, Response};
//! # async fn handle_socket(_: WebSocket) {}
//!
//! fn service<T>(mut request: Request<T>) -> Response<String> {
//!     match WebSocketUpgrade::from_request(&mut request) {
//!         Ok(ws) => ws
//!             .on_failed_upgrade(|error| eprintln!("no upgrade: {error:#}"))
//!             .on_upgrade(handle_socket),
//!         Err(rejection) => rejection.into_response(),
//!     }
//! }
//! ```
//!
//! # On a bare stream
//!
//! [`accept`] reads the request itself, without any HTTP library. [`ServerHandshake`] does the same
//! in two steps, and shows the request before it is answered.
//!
//! ```no_run
//! use anyws::WebSocketConfig;
//! use smol::net::TcpStream;
//!
//! async fn serve(stream: TcpStream) -> anyws::Result<()> {
//!     stream.set_nodelay(true)?;
//!     let mut socket = anyws::accept(stream, WebSocketConfig::new()).await?;
//!     while let Some(message) = socket.next_data().await {
//!         socket.send(message?).await?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Pass a stream of smol as it is, and one of tokio in an `io::TokioIo`.
//!
//! # Clients
//!
//! With the feature `client`, `connect` opens a socket to a server in one line, and `ClientBuilder`
//! sets everything else: headers, subprotocols, timeouts, TLS. The [guide](guide::clients) has
//! examples.
//!
//! # Rooms
//!
//! A [`Hub`](hub::Hub) sends what is published on a topic to all sockets that have joined it, in
//! this process or, over Redis, in many. The [guide](guide::rooms) has examples.
//!
//! # Runtimes
//!
//! A runtime is a value, an `Arc<dyn `[`Runtime`]`>`. It spawns the handlers of
//! [`on_upgrade`](WebSocketUpgrade::on_upgrade), runs the timeouts, and closes dropped sockets in
//! the background. anyws uses the first runtime it finds, in this order:
//!
//! 1. the one that you pass: [`WebSocketUpgrade::runtime`] or [`WebSocketConfig::set_runtime`];
//! 2. an `Arc<dyn Runtime>` in the request's extensions;
//! 3. the one that [`rt::detect`] finds: tokio inside a tokio context (feature `rt-tokio`), else
//!    smol (feature `rt-smol`).
//!
//! Without a runtime nothing panics. `on_upgrade` answers 500 and calls
//! [`on_failed_upgrade`](WebSocketUpgrade::on_failed_upgrade) with [`Error::NoRuntime`].
//! [`accept`], [`ServerHandshake`] and [`WebSocketUpgrade::accept`] work; their default timeouts
//! are off, and [`WebSocket::close`] does not wait for the peer. A timeout that you set is
//! [`Error::NoRuntime`].
//!
//! A handler does not have to name a runtime to wait: pass [`WebSocket::runtime`] to [`rt::sleep`]
//! and [`rt::timeout`].
//!
//! # Cancel safety
//!
//! All futures of a socket are cancel-safe: use [`WebSocket::next`], `send`, `feed`, `flush`,
//! `close` and `closed` in `select!` freely. The next call continues where the dropped one stopped.
//! A message whose `send` was dropped while it waited for space in the buffer is not sent.
//! Dropping [`accept`], [`ServerHandshake`], [`Upgrading`] or `connect` drops the connection.
//!
//! # Crate features
//!
//! None is on by default. Each one only adds, and all of them work together.
//!
//! - **`rt-tokio`** adds `TokioRuntime` and `io::TokioIo`, and [`rt::detect`] finds tokio. Without
//!   it a server on tokio needs a [`Runtime`] of its own and, for [`accept`], an adapter for its
//!   streams.
//! - **`rt-smol`** adds `SmolRuntime`, and [`rt::detect`] finds smol. Without it a server on smol
//!   needs a [`Runtime`] of its own. By itself it does not depend on tokio.
//! - **`hyper`** adds `io::HyperIo`, and makes [`WebSocketUpgrade`] work in servers on hyper.
//!   Without it only requests that carry an [`UpgradeIo`] can be upgraded.
//! - **`volo`** (with `hyper` and `rt-tokio`) adds `anyws::volo`, the extractor in Volo-HTTP.
//! - **`axum`** (with `hyper` and `rt-tokio`) adds `anyws::axum`, the extractor in axum.
//! - **`client`** adds `connect` and `ClientBuilder`, for WebSocket clients.
//! - **`deflate`** adds compression of messages, for [`WebSocketConfig::set_deflate`].
//! - **`tls`** (with `client`) lets clients connect to `wss` URIs.
//! - **`metrics`** adds `anyws::metrics`, which tells the crate `metrics` of the sockets of a
//!   [`Tracker`].
//! - **`redis`** (with `rt-tokio` or `rt-smol`) adds `hub::RedisBackplane`: the topics of a [`hub`]
//!   span several processes.
//! - **`testing`** adds `anyws::testing`: streams and upgrades in memory, and sockets of either
//!   role on any stream.
//! - **`tracing`** makes events of the crate `tracing`, runs each handler in a span, and adds
//!   `WebSocketUpgrade::span`.
//! - **`full`** is all of these.
//!
//! `features.md` in the repository says what each one costs, and what is left out on purpose.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::disallowed_methods)]

#[cfg(feature = "client")]
mod client;
mod config;
mod connection;
mod error;
mod framework;
mod future;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod guide;
mod handshake;
pub mod hub;
pub mod io;
mod life;
mod message;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub mod metrics;
mod proto;
pub mod rt;
mod server;
mod socket;
mod sync;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
mod trace;
mod tracker;

#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use self::client::{ClientBuilder, connect};
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use self::framework::axum;
#[cfg(feature = "volo")]
#[cfg_attr(docsrs, doc(cfg(feature = "volo")))]
pub use self::framework::volo;
#[doc(no_inline)]
pub use self::message::{Bytes, CloseCode, CloseFrame, Message, Utf8Bytes};
#[cfg(feature = "client")]
#[doc(no_inline)]
pub use self::rt::Network;
#[cfg(feature = "rt-smol")]
#[doc(no_inline)]
pub use self::rt::SmolRuntime;
#[cfg(feature = "rt-tokio")]
#[doc(no_inline)]
pub use self::rt::TokioRuntime;
pub use self::{
    config::{
        ConfigError, DeflateConfig, InvalidUri, OverRate, QueueConfig, Rate, Takeover,
        TransportConfig, WebSocketConfig, WhenFull,
    },
    error::{BoxError, Error, Result, TimeoutPhase},
    handshake::{HandshakeError, HeadError, Rejection, RequestedProtocols},
    io::Io,
    life::{Buffered, TrySendError},
    proto::{InvalidMessage, PreparedMessage, ProtocolError},
    rt::{Runtime, Sleep},
    server::{
        accept::{Incoming, PlainRequest, ServerHandshake, accept},
        upgrade::{
            HandlerOutput, ProtocolHandlers, ResponseBody, UnknownBody, UpgradeIo, Upgrading,
            WebSocketUpgrade,
        },
    },
    socket::{IntoCloseFrame, ReceiveHalf, ReuniteError, SendHalf, Sender, WebSocket},
    tracker::{ClosedBy, Drain, Drained, End, Meta, Metrics, Permit, Tracker, Traffic},
};
#[cfg(feature = "tls")]
#[doc(no_inline)]
pub use futures_rustls::rustls;
#[doc(no_inline)]
pub use http;

/// Handlers in edition 2021, in which a handler that loops forever returns `()`.
///
/// ```edition2021
/// use anyws::{TransportConfig, WebSocket, WebSocketConfig, WebSocketUpgrade, http::Response};
///
/// async fn handle_graphql(_: WebSocket) {}
/// async fn handle_socket(mut socket: WebSocket) -> Result<(), anyws::Error> {
///     socket.send("hello".into()).await
/// }
///
/// fn settings(ws: WebSocketUpgrade<String>) -> Response<String> {
///     let config = WebSocketConfig::new()
///         .set_transport(TransportConfig::default().write_buffer_size(128 * 1024))
///         .set_protocols(["graphql-ws", "graphql-transport-ws"]);
///     ws.set_config(config)
///         .on_failed_upgrade(|error| println!("{error}"))
///         .on_protocol("graphql-ws", handle_graphql)
///         .on_upgrade(handle_socket)
/// }
///
/// fn for_ever(ws: WebSocketUpgrade<String>) -> Response<String> {
///     ws.on_protocol("a", async |mut socket: WebSocket| loop {
///         socket.next().await;
///     })
///     .on_upgrade(|mut socket| async move {
///         loop {
///             socket.next().await;
///         }
///     })
/// }
/// ```
#[cfg(doctest)]
struct Edition2021;
