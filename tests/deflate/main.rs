//! Compression of messages (RFC 7692).

mod codec;
mod distance;
mod echo;
mod limits;
mod long;
mod memory;
mod negotiation;
mod prepared;
mod regressions;
mod rules;
mod settings;
mod takeover;
