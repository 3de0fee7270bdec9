//! Clients: what they send, how they connect, and what they make of each answer.

mod answers;
mod attacks;
mod broken_networks;
mod connecting;
#[cfg(feature = "deflate")]
mod deflate;
mod dialing;
mod requests;
mod server;
#[cfg(feature = "tls")]
mod tls;
