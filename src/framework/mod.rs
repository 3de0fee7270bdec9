//! The extractors for HTTP frameworks. Apart from the adapters, only this code names a framework.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "volo")]
pub mod volo;
