//! From a request to a socket: on bare streams, and in the extractor.

mod accept;
mod config;
mod extractor_settings;
mod handler_errors;
mod head_properties;
mod head_timeout;
mod heads;
#[cfg(not(feature = "deflate"))]
mod no_deflate;
mod plain_requests;
mod secrets;
mod subprotocols;
mod task_size;
mod testing;
mod upgrade;
