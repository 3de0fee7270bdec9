#![doc = "WebSocket for every async runtime and HTTP framework."]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::disallowed_methods)]

mod accept;
mod config;
mod connection;
mod engine;
mod error;
mod framework;
mod handshake;
pub mod io;
pub mod rt;
mod socket;
mod split;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
mod upgrade;

#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use self::framework::axum;
#[cfg(feature = "volo")]
#[cfg_attr(docsrs, doc(cfg(feature = "volo")))]
pub use self::framework::volo;
#[cfg(feature = "rt-smol")]
#[doc(no_inline)]
pub use self::rt::SmolRuntime;
#[cfg(feature = "rt-tokio")]
#[doc(no_inline)]
pub use self::rt::TokioRuntime;
pub use self::{
    accept::{Handshake, accept},
    config::{TransportConfig, WebSocketConfig},
    error::{BoxError, ConfigError, Error, InvalidMessage, Phase, ProtocolError, Result},
    handshake::{HeadError, Rejection},
    io::Io,
    rt::{Runtime, Sleep},
    socket::WebSocket,
    split::{ReuniteError, WebSocketReceiver, WebSocketSender},
    upgrade::{ProtocolHandlers, UpgradeIo, Upgrading, WebSocketUpgrade},
};
#[doc(no_inline)]
pub use async_tungstenite::tungstenite::{
    Bytes, Message, Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
#[doc(no_inline)]
pub use http;
