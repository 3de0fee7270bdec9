//! The extractor in frameworks, and the example servers against the rules for handshakes.

#[cfg(feature = "axum")]
mod axum;
#[cfg(all(target_os = "linux", feature = "full"))]
mod handshake_attacks;
#[cfg(feature = "full")]
mod handshake_rules;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "full")]
mod tls;
#[cfg(feature = "volo")]
mod volo;
