//! The extractor in frameworks, and the example servers against the rules for handshakes.

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "full")]
mod drains;
#[cfg(all(target_os = "linux", feature = "full"))]
mod handshake_attacks;
#[cfg(feature = "full")]
mod handshake_rules;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(all(feature = "metrics", feature = "rt-tokio"))]
mod metrics;
#[cfg(feature = "full")]
mod tls;
#[cfg(all(feature = "hyper", feature = "tracing"))]
mod traces;
#[cfg(feature = "volo")]
mod volo;
