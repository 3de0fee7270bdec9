//! The example servers of anyws, and the tests and documents that need them or a framework.
//!
//! The files are in the repository's folders `examples/` and `tests/servers/`. They belong to this
//! package because cargo builds all dev-dependencies of a package for each of its examples. Here
//! they are optional dependencies, so each example builds the crates of its own features only.

/// The snippets of documents, as tests. Some need a framework, so they are run with all features.
#[cfg(all(doctest, feature = "full"))]
mod snippets {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../features.md")]
    struct Features;

    #[doc = include_str!("../../src/framework/overview.md")]
    struct Overview;

    #[doc = include_str!("../../src/framework/axum.md")]
    struct Axum;

    #[doc = include_str!("../../src/framework/volo.md")]
    struct Volo;

    #[doc = include_str!("../../src/guide/authentication.md")]
    struct Authentication;

    #[doc = include_str!("../../src/guide/capacity.md")]
    struct Capacity;

    #[doc = include_str!("../../src/guide/clients.md")]
    struct Clients;

    #[doc = include_str!("../../src/guide/coming_from_axum.md")]
    struct ComingFromAxum;

    #[doc = include_str!("../../src/guide/coming_from_tokio_tungstenite.md")]
    struct ComingFromTokioTungstenite;

    #[doc = include_str!("../../src/guide/coming_from_volo.md")]
    struct ComingFromVolo;

    #[doc = include_str!("../../src/guide/compression.md")]
    struct Compression;

    #[doc = include_str!("../../src/guide/deploying.md")]
    struct Deploying;

    #[doc = include_str!("../../src/guide/errors_and_closing.md")]
    struct ErrorsAndClosing;

    #[doc = include_str!("../../src/guide/heartbeats.md")]
    struct Heartbeats;

    #[doc = include_str!("../../src/guide/limits.md")]
    struct Limits;

    #[doc = include_str!("../../src/guide/machines.md")]
    struct Machines;

    #[doc = include_str!("../../src/guide/observability.md")]
    struct Observability;

    #[doc = include_str!("../../src/guide/other_servers.md")]
    struct OtherServers;

    #[doc = include_str!("../../src/guide/performance.md")]
    struct Performance;

    #[doc = include_str!("../../src/guide/push_only.md")]
    struct PushOnly;

    #[doc = include_str!("../../src/guide/rooms.md")]
    struct Rooms;

    #[doc = include_str!("../../src/guide/senders.md")]
    struct Senders;

    #[doc = include_str!("../../src/guide/settings.md")]
    struct Settings;

    #[doc = include_str!("../../src/guide/shutdown.md")]
    struct Shutdown;

    #[doc = include_str!("../../src/guide/testing.md")]
    struct Testing;

    #[doc = include_str!("../../src/guide/tls.md")]
    struct Tls;

    /// The first handler of the documentation. It must keep compiling as it is, in both editions.
    ///
    /// ```edition2021
    /// use anyws::volo::{Message, WebSocket, WebSocketUpgrade};
    /// use volo_http::{response::Response, server::route::{get, Router}};
    ///
    /// async fn handle_socket(mut socket: WebSocket) {
    ///     while let Some(Ok(msg)) = socket.next().await {
    ///         match msg {
    ///             Message::Text(_) => socket.send(msg).await.unwrap(),
    ///             _ => {}
    ///         }
    ///     }
    /// }
    ///
    /// async fn ws_handler(ws: WebSocketUpgrade) -> Response {
    ///     ws.on_upgrade(handle_socket)
    /// }
    ///
    /// let app: Router = Router::new().route("/ws", get(ws_handler));
    /// ```
    ///
    /// ```edition2024
    /// use anyws::volo::{Message, WebSocket, WebSocketUpgrade};
    /// use volo_http::{response::Response, server::route::{get, Router}};
    ///
    /// async fn handle_socket(mut socket: WebSocket) {
    ///     while let Some(Ok(msg)) = socket.next().await {
    ///         match msg {
    ///             Message::Text(_) => socket.send(msg).await.unwrap(),
    ///             _ => {}
    ///         }
    ///     }
    /// }
    ///
    /// async fn ws_handler(ws: WebSocketUpgrade) -> Response {
    ///     ws.on_upgrade(handle_socket)
    /// }
    ///
    /// let app: Router = Router::new().route("/ws", get(ws_handler));
    /// ```
    struct FirstHandler;
}
