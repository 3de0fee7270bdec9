//! Guides: how to do common things, with code to copy.
//!
//! Moving code here:
//!
//! - [`coming_from_volo`]: from Volo-HTTP's own WebSocket module.
//! - [`coming_from_axum`]: from axum's own extractor.
//! - [`coming_from_tokio_tungstenite`]: from tokio-tungstenite's server or client.
//!
//! Writing handlers:
//!
//! - [`errors_and_closing`]: what `next` and `send` return, and how a connection ends.
//! - [`push_only`]: handlers that only send.
//! - [`heartbeats`]: pings, timeouts, and peers that vanish or do not read.
//! - [`senders`]: sending from several tasks, and to many sockets.
//! - [`rooms`]: topics, broadcast, and the latest value.
//! - [`authentication`]: headers, cookies and origins.
//! - [`compression`]: smaller messages, what they cost, and secrets.
//! - [`settings`]: runtimes, settings with their defaults, subprotocols.
//! - [`testing`]: tests without a network.
//!
//! Connecting to servers:
//!
//! - [`clients`]: headers, TLS, what can go wrong, and how to connect again.
//!
//! Running servers:
//!
//! - [`deploying`]: the head of a request, nginx and haproxy, what to set.
//! - [`shutdown`]: every client gets a Close, and the process ends.
//! - [`machines`]: rooms that span several processes, and what is lost when.
//! - [`capacity`]: how many sockets a process bears, and a million of them on paper.
//! - [`limits`]: how many sockets, how many for each client, and how fast it may send.
//! - [`observability`]: metrics, events and spans.
//! - [`tls`]: `wss://` on a bare stream, on smol and on tokio.
//! - [`performance`]: what makes a server fast, and what each choice costs.
//! - [`other_servers`]: the extractor on a server that is not built on hyper.
//!
//! Whole programs are in the folder `examples` of the repository.

// The package `servers` runs the snippets: it has the frameworks that they need.

#[cfg_attr(not(doctest), doc = include_str!("authentication.md"))]
pub mod authentication {}

#[cfg_attr(not(doctest), doc = include_str!("capacity.md"))]
pub mod capacity {}

#[cfg_attr(not(doctest), doc = include_str!("clients.md"))]
pub mod clients {}

#[cfg_attr(not(doctest), doc = include_str!("coming_from_axum.md"))]
pub mod coming_from_axum {}

#[cfg_attr(not(doctest), doc = include_str!("coming_from_tokio_tungstenite.md"))]
pub mod coming_from_tokio_tungstenite {}

#[cfg_attr(not(doctest), doc = include_str!("coming_from_volo.md"))]
pub mod coming_from_volo {}

#[cfg_attr(not(doctest), doc = include_str!("compression.md"))]
pub mod compression {}

#[cfg_attr(not(doctest), doc = include_str!("deploying.md"))]
pub mod deploying {}

#[cfg_attr(not(doctest), doc = include_str!("errors_and_closing.md"))]
pub mod errors_and_closing {}

#[cfg_attr(not(doctest), doc = include_str!("heartbeats.md"))]
pub mod heartbeats {}

#[cfg_attr(not(doctest), doc = include_str!("limits.md"))]
pub mod limits {}

#[cfg_attr(not(doctest), doc = include_str!("machines.md"))]
pub mod machines {}

#[cfg_attr(not(doctest), doc = include_str!("observability.md"))]
pub mod observability {}

#[cfg_attr(not(doctest), doc = include_str!("other_servers.md"))]
pub mod other_servers {}

#[cfg_attr(not(doctest), doc = include_str!("performance.md"))]
pub mod performance {}

#[cfg_attr(not(doctest), doc = include_str!("push_only.md"))]
pub mod push_only {}

#[cfg_attr(not(doctest), doc = include_str!("rooms.md"))]
pub mod rooms {}

#[cfg_attr(not(doctest), doc = include_str!("senders.md"))]
pub mod senders {}

#[cfg_attr(not(doctest), doc = include_str!("settings.md"))]
pub mod settings {}

#[cfg_attr(not(doctest), doc = include_str!("shutdown.md"))]
pub mod shutdown {}

#[cfg_attr(not(doctest), doc = include_str!("testing.md"))]
pub mod testing {}

#[cfg_attr(not(doctest), doc = include_str!("tls.md"))]
pub mod tls {}
