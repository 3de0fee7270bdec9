//! The opening handshake (RFC 6455, section 4): `http` types in, a decision out.
//!
//! Nothing here does IO or knows a runtime. [`UpgradeRequest::read`] checks a request.
//! [`UpgradeRequest::decide`] applies the server's policy to it. [`Negotiated::response`] returns
//! the 101 response.

mod accept_key;
#[cfg(any(feature = "client", feature = "testing"))]
pub(crate) mod client;
mod deflate;
mod error;
mod extensions;
mod head;
mod headers;
mod host;
mod origin;
mod policy;
mod protocols;
pub(crate) mod rejection;
mod request;
pub(crate) mod tokens;

#[cfg(feature = "client")]
pub(crate) use self::head::ResponseHead;
pub use self::{
    error::HandshakeError, head::HeadError, protocols::RequestedProtocols, rejection::Rejection,
};
pub(crate) use self::{
    head::{Complete, Head, RequestHead},
    origin::AllowedOrigins,
    policy::Policy,
    protocols::{ProtocolChoice, Supported},
    request::{Negotiated, Refusal, UpgradeRequest},
};
