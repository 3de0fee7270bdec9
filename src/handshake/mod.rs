//! The opening handshake (RFC 6455, section 4): `http` types in, a decision out.
//!
//! Nothing here does IO or knows a runtime. [`UpgradeRequest::read`] checks a request.
//! [`UpgradeRequest::decide`] applies the server's policy to it. [`Negotiated::response`] returns
//! the 101 response.

mod accept_key;
#[cfg(feature = "testing")]
pub(crate) mod client;
mod deflate;
mod extensions;
mod head;
mod headers;
mod host;
mod origin;
mod policy;
mod protocols;
pub(crate) mod rejection;
mod request;
mod scanner;
mod target;
pub(crate) mod tokens;

pub use self::{head::HeadError, protocols::RequestedProtocols, rejection::Rejection};
pub(crate) use self::{
    head::{Complete, Head},
    origin::AllowedOrigins,
    policy::Policy,
    protocols::{ProtocolChoice, Supported},
    request::{Negotiated, Refusal, UpgradeRequest},
};
