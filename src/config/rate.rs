//! How fast a peer may send.

use super::ConfigError;

/// So many a second on average, and up to `burst` at once.
///
/// It is set by [`WebSocketConfig::set_message_rate`](crate::WebSocketConfig::set_message_rate)
/// and [`WebSocketConfig::set_byte_rate`](crate::WebSocketConfig::set_byte_rate).
///
/// ```
/// use anyws::{OverRate, Rate, WebSocketConfig};
///
/// let config = WebSocketConfig::new()
///     .set_message_rate(Rate::new(20, 100), OverRate::Pause)
///     .set_byte_rate(Rate::new(64 * 1024, 1024 * 1024), OverRate::Pause);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Rate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

impl Rate {
    /// Returns a rate of `per_second` on average. A peer that was slower before may send up to
    /// `burst` at once. Both are at least 1: [`ConfigError::ZeroRate`].
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }
}

/// What happens to a peer that sends faster than its [`Rate`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverRate {
    /// Nothing more is received until the rate allows it, and TCP slows the peer down. Nothing is
    /// lost.
    #[default]
    Pause,
    /// The socket is closed with code 1008, and the handler gets
    /// [`Error::RateExceeded`](crate::Error::RateExceeded).
    Close,
}

/// A rate, and what happens to a peer that is faster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    pub(crate) rate: Rate,
    pub(crate) over: OverRate,
}

impl RateLimit {
    /// Checks the limit that `setter` has set.
    pub(super) fn validate(self, setter: &'static str) -> Result<(), ConfigError> {
        match (self.rate.per_second, self.rate.burst) {
            (0, _) | (_, 0) => Err(ConfigError::ZeroRate(setter)),
            _ => Ok(()),
        }
    }
}
