//! Recipes: whole pieces of servers, to be copied.
//!
//! - [`authentication`]: headers and cookies beside the extractor, in axum and in Volo-HTTP, and on
//!   bare streams.
//! - [`tls`]: `wss://` on a bare stream, on smol and on tokio.
//! - [`other_servers`]: the extractor on a server that is not built on hyper.
//!
//! Whole programs are in the folder `examples` of the repository.

// The package `servers` runs the snippets: it has the frameworks that they need.

#[cfg_attr(not(doctest), doc = include_str!("authentication.md"))]
pub mod authentication {}

#[cfg_attr(not(doctest), doc = include_str!("other_servers.md"))]
pub mod other_servers {}

#[cfg_attr(not(doctest), doc = include_str!("tls.md"))]
pub mod tls {}
