//! Settings that limit the life of a socket: keepalive, timeouts, rates, and the queue of its
//! senders.

use std::time::Duration;

use super::{ConfigError, QueueConfig, RateLimit};

/// A clock that measures rates is as exact as for a timeout of this length: it ticks every 100 ms.
const RATE_TIMEOUT: Duration = Duration::from_millis(800);

/// These settings. Sockets share them in one `Arc`, and most sockets have none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LifeConfig {
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) message_rate: Option<RateLimit>,
    pub(crate) byte_rate: Option<RateLimit>,
    pub(crate) queue: QueueConfig,
}

/// When a silent peer is pinged, and when it is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keepalive {
    pub(crate) interval: Duration,
    /// `None`: the peer is pinged, but never given up.
    pub(crate) timeout: Option<Duration>,
}

impl LifeConfig {
    /// Returns the shortest of the timeouts, if any is set. Each of them needs a clock, and so do
    /// rates.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        let rates = self.rates().map(|_| RATE_TIMEOUT);
        self.timeouts()
            .map(|(_, timeout)| timeout)
            .chain(rates)
            .min()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if let Some((name, _)) = self.timeouts().find(|(_, timeout)| timeout.is_zero()) {
            return Err(ConfigError::ZeroTimeout(name));
        }
        self.rates()
            .try_for_each(|(name, rate)| rate.validate(name))?;
        self.queue.validate()
    }

    /// Returns the timeouts that are set, with the names of their setters.
    fn timeouts(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let interval = self.keepalive.map(|keepalive| keepalive.interval);
        let timeout = self.keepalive.and_then(|keepalive| keepalive.timeout);
        [
            ("set_keepalive", interval),
            ("set_keepalive", timeout),
            ("set_idle_timeout", self.idle_timeout),
            ("set_max_lifetime", self.max_lifetime),
            ("set_write_timeout", self.write_timeout),
        ]
        .into_iter()
        .filter_map(|(name, timeout)| Some((name, timeout?)))
    }

    /// Returns the rates that are set, with the names of their setters.
    fn rates(&self) -> impl Iterator<Item = (&'static str, RateLimit)> {
        [
            ("set_message_rate", self.message_rate),
            ("set_byte_rate", self.byte_rate),
        ]
        .into_iter()
        .filter_map(|(name, rate)| Some((name, rate?)))
    }
}
