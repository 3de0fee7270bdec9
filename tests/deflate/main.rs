//! Compression of messages (RFC 7692).

mod echo;
