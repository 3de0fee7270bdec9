//! The settings of one extractor: a config, and the extractor's own settings.

use std::{borrow::Cow, sync::Arc, time::Duration};

use super::WebSocketUpgrade;
use crate::{
    config::{DeflateConfig, TransportConfig, WebSocketConfig},
    handshake::{AllowedOrigins, Supported},
    rt::Runtime,
};

/// The settings so far.
pub(super) struct Settings {
    /// Includes the overrides.
    pub(super) config: WebSocketConfig,
    /// Settings made on the extractor itself, in order, to apply to a config that is set later.
    overrides: Vec<Override>,
    pub(super) label: Option<&'static str>,
}

type Override = Box<dyn Fn(&mut WebSocketConfig) + Send + Sync>;

impl Settings {
    pub(super) fn new() -> Self {
        Self {
            config: WebSocketConfig::new(),
            overrides: Vec::new(),
            label: None,
        }
    }

    fn replace(&mut self, config: WebSocketConfig) {
        self.config = config;
        for set in &self.overrides {
            set(&mut self.config);
        }
    }

    fn set(&mut self, set: impl Fn(&mut WebSocketConfig) + Send + Sync + 'static) {
        set(&mut self.config);
        self.overrides.push(Box::new(set));
    }
}

impl<B> WebSocketUpgrade<B> {
    /// Replaces all settings with those of a [`WebSocketConfig`].
    ///
    /// Settings made on the extractor itself win, in whatever order they are made. Here `chat` is
    /// supported, and messages are limited as `shared` says.
    ///
    /// ```
    /// # use anyws::{TransportConfig, WebSocketConfig, WebSocketUpgrade};
    /// # fn set(ws: WebSocketUpgrade<String>) -> WebSocketUpgrade<String> {
    /// let shared = WebSocketConfig::new()
    ///     .set_transport(TransportConfig::default().max_message_size(64 * 1024))
    ///     .set_protocols(["news"]);
    /// ws.protocols(["chat"]).set_config(shared)
    /// # }
    /// ```
    ///
    /// Contradictory settings are found at the upgrade: it answers 500, and `on_failed_upgrade`
    /// gets the [`ConfigError`](crate::ConfigError).
    pub fn set_config(mut self, config: WebSocketConfig) -> Self {
        self.settings.replace(config);
        self.support_handled()
    }

    /// Sets the runtime that drives the handler and its timers.
    ///
    /// The default is the runtime of the config, else an `Arc<dyn Runtime>` in the request's
    /// extensions, else [`rt::detect`](crate::rt::detect).
    pub fn runtime(self, runtime: Arc<dyn Runtime>) -> Self {
        self.set(move |config| config.runtime = Some(Arc::clone(&runtime)))
    }

    /// Sets a name for sockets like this one, such as that of the route; default none. The metrics
    /// of a tracker get it as [`Meta::label`](crate::Meta::label).
    pub fn label(mut self, label: &'static str) -> Self {
        self.settings.label = Some(label);
        self
    }

    /// Sets the supported subprotocols, the preferred one first; see
    /// [`WebSocketConfig::set_protocols`].
    ///
    /// If the client offers none of them, it is accepted without a subprotocol and may fail the
    /// connection itself; see [which subprotocol is chosen](Self#which-subprotocol-is-chosen).
    pub fn protocols<I>(self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        let supported = Supported::new(protocols.into_iter().map(Into::into));
        self.set(move |config| config.policy.protocols = supported.clone())
            .support_handled()
    }

    /// Sets whether a client that offers no supported subprotocol is refused; see
    /// [`WebSocketConfig::set_require_protocol`].
    pub fn require_protocol(self, require: bool) -> Self {
        self.set(move |config| config.policy.require_protocol = require)
    }

    /// Sets the origins that may connect; see [`WebSocketConfig::set_allowed_origins`].
    pub fn allowed_origins<I>(self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        let origins = AllowedOrigins::parse(origins.into_iter().map(Into::into));
        self.set(move |config| config.policy.allowed_origins = Some(origins.clone()))
    }

    /// Sets whether requests without `Origin` may connect; see
    /// [`WebSocketConfig::set_allow_missing_origin`].
    pub fn allow_missing_origin(self, allow: bool) -> Self {
        self.set(move |config| config.policy.allow_missing_origin = allow)
    }

    /// Pings a silent peer, and gives it up if it does not answer; see
    /// [`WebSocketConfig::set_keepalive`].
    pub fn keepalive(self, interval: Duration, timeout: impl Into<Option<Duration>>) -> Self {
        let timeout = timeout.into();
        self.set(move |config| config.keepalive(interval, timeout))
    }

    /// Sets the compression of messages; see [`WebSocketConfig::set_deflate`].
    pub fn deflate(self, deflate: impl Into<Option<DeflateConfig>>) -> Self {
        let deflate = deflate.into();
        self.set(move |config| config.deflate = deflate)
    }

    /// Sets how many bytes one read requests from the stream; see
    /// [`TransportConfig::read_buffer_size`].
    pub fn read_buffer_size(self, size: usize) -> Self {
        self.transport(move |transport| transport.read_buffer_size(size))
    }

    /// Sets how many bytes `feed` may buffer before they are written; see
    /// [`TransportConfig::write_buffer_size`].
    pub fn write_buffer_size(self, size: usize) -> Self {
        self.transport(move |transport| transport.write_buffer_size(size))
    }

    /// Sets the watermark of the write buffer; see [`TransportConfig::max_write_buffer_size`].
    pub fn max_write_buffer_size(self, max: usize) -> Self {
        self.transport(move |transport| transport.max_write_buffer_size(max))
    }

    /// Sets the largest message that is accepted; see [`TransportConfig::max_message_size`].
    pub fn max_message_size(self, max: impl Into<Option<usize>>) -> Self {
        let max = max.into();
        self.transport(move |transport| transport.max_message_size(max))
    }

    /// Sets the largest data frame that is accepted; see [`TransportConfig::max_frame_size`].
    pub fn max_frame_size(self, max: impl Into<Option<usize>>) -> Self {
        let max = max.into();
        self.transport(move |transport| transport.max_frame_size(max))
    }

    /// Sets the size of fragments: a longer message is sent in fragments; see
    /// [`TransportConfig::fragment_size`].
    pub fn fragment_size(self, size: usize) -> Self {
        self.transport(move |transport| transport.fragment_size(size))
    }

    /// Sets whether a server accepts frames that are not masked; see
    /// [`TransportConfig::accept_unmasked_frames`].
    pub fn accept_unmasked_frames(self, accept: bool) -> Self {
        self.transport(move |transport| transport.accept_unmasked_frames(accept))
    }

    fn set(mut self, set: impl Fn(&mut WebSocketConfig) + Send + Sync + 'static) -> Self {
        self.settings.set(set);
        self
    }

    fn transport(
        self,
        set: impl Fn(TransportConfig) -> TransportConfig + Send + Sync + 'static,
    ) -> Self {
        self.set(move |config| config.transport = set(config.transport))
    }

    /// Appends the subprotocols that have a handler to the list of supported ones. Both may have
    /// been set in either order.
    pub(super) fn support_handled(mut self) -> Self {
        let handled = self.handlers.iter().map(|(name, _)| name);
        self.settings.config.policy.protocols.add(handled);
        self
    }
}
