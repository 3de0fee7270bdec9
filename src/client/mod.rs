//! Clients: from a URI to a socket, on every runtime.
//!
//! Data flows through the files in this order: the settings ([`builder`]) are checked ([`plan`]), a
//! stream is opened ([`dial`]) and secured ([`tls`]), and the handshake is done on it
//! ([`exchange`]).

use std::future::Future;

pub use self::builder::ClientBuilder;
use crate::{error::Result, socket::WebSocket};

mod builder;
mod dial;
mod exchange;
mod plan;
mod step;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
#[cfg(feature = "tls")]
mod tls;

/// Opens a WebSocket to a server, on the runtime that the calling code runs on.
///
/// `uri` starts with `ws://`, or with `wss://` for TLS (feature `tls`). The settings are those of
/// [`WebSocketConfig::new`](crate::WebSocketConfig::new); connecting may take 10 s, and so may the
/// handshake. For anything else, such as headers or subprotocols, use a [`ClientBuilder`].
///
/// ```no_run
/// # async fn greet() -> anyws::Result<()> {
/// let mut socket = anyws::connect("ws://127.0.0.1:9000/chat").await?;
/// socket.send("hello".into()).await?;
/// while let Some(message) = socket.next_data().await {
///     println!("{}", message?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As for [`ClientBuilder::connect`].
///
/// # Cancel safety
///
/// Dropping the future drops the connection: nothing is left half open.
pub fn connect(uri: impl Into<String>) -> impl Future<Output = Result<WebSocket>> + Send + Unpin {
    let connecting = ClientBuilder::new(uri).connect();
    Box::pin(async { Ok(connecting.await?.0) })
}
