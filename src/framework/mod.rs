//! The extractor in HTTP frameworks; beside the adapters, the only code that names one.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "volo")]
pub mod volo;
