//! The message types, which are tungstenite's: users know them, and other crates use them.
//!
//! No other file names tungstenite.

pub(crate) use async_tungstenite::tungstenite::protocol::{
    Role, WebSocketConfig as TungsteniteConfig,
};
pub use async_tungstenite::tungstenite::{
    Bytes, Message, Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
