//! The vocabulary of messages, which is tungstenite's: users know it, and it fits other crates.
//!
//! This is the one file that names tungstenite.

pub(crate) use async_tungstenite::tungstenite::protocol::{
    Role, WebSocketConfig as TungsteniteConfig,
};
pub use async_tungstenite::tungstenite::{
    Bytes, Message, Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
