//! Frames on the wire: the rules for them, and attacks by them.

#[cfg(all(target_os = "linux", feature = "full"))]
mod attacks;
mod control;
mod pings;
mod properties;
mod rules;
