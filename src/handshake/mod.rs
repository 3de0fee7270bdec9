//! The opening handshake (RFC 6455, section 4): `http` types in, a decision out.
//!
//! Nothing here does IO or knows a runtime. [`Offer::read`] checks a request; [`Offer::decide`]
//! applies the server's policy to it; [`Acceptance::response`] makes the answer of 101.

mod accept_key;
mod extensions;
mod head;
mod host;
mod offer;
mod origin;
mod protocols;
pub(crate) mod rejection;
mod scanner;
mod target;
pub(crate) mod tokens;

pub(crate) use self::{
    accept_key::accept_key,
    head::{Complete, Head},
    offer::{Acceptance, Offer},
    origin::{AllowedOrigins, RequestOrigin},
    protocols::{Choice, Supported},
};
pub use self::{head::HeadError, rejection::Rejection};
