//! Runtimes: what each of them does, and sockets on one that is missing or has ended.

mod contract;
#[cfg(feature = "testing")]
mod dead_runtimes;
#[cfg(all(feature = "testing", any(feature = "rt-tokio", feature = "hyper")))]
mod io_adapters;
#[cfg(all(feature = "testing", not(feature = "rt-smol")))]
mod no_runtime;
#[cfg(feature = "testing")]
mod waits;
