//! The settings of one extractor: a config, and what is set beside it.

use std::{borrow::Cow, sync::Arc};

use super::WebSocketUpgrade;
use crate::{
    config::{TransportConfig, WebSocketConfig},
    handshake::{AllowedOrigins, Supported},
    rt::Runtime,
};

/// The settings so far.
pub(super) struct Settings {
    /// With the overrides in it.
    pub(super) config: WebSocketConfig,
    /// What was set on the extractor itself, in its order, for a config that comes later.
    overrides: Vec<Override>,
}

type Override = Box<dyn Fn(&mut WebSocketConfig) + Send + Sync>;

impl Settings {
    pub(super) fn new() -> Self {
        Self {
            config: WebSocketConfig::new(),
            overrides: Vec::new(),
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
    /// Sets the settings of a [`WebSocketConfig`], in the place of those of an earlier one.
    ///
    /// Settings that are made on the extractor itself win, whatever the order: here `chat` is
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
    /// What contradicts each other is found at the upgrade: it is answered 500, and
    /// `on_failed_upgrade` gets the [`ConfigError`](crate::ConfigError).
    pub fn set_config(mut self, config: WebSocketConfig) -> Self {
        self.settings.replace(config);
        self.support_handled()
    }

    /// Sets the runtime that drives the handler and keeps the timeouts.
    ///
    /// The default is the config's, else an `Arc<dyn Runtime>` in the request's extensions, else
    /// [`rt::detect`](crate::rt::detect).
    pub fn runtime(self, runtime: Arc<dyn Runtime>) -> Self {
        self.set(move |config| config.runtime = Some(Arc::clone(&runtime)))
    }

    /// Sets the supported subprotocols, the preferred one first; see
    /// [`WebSocketConfig::set_protocols`].
    ///
    /// If the client offers none of them it is accepted without one, and may fail the connection by
    /// itself: [which subprotocol is chosen](Self#which-subprotocol-is-chosen).
    pub fn protocols<I>(self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        let supported = Supported::new(protocols.into_iter().map(Into::into));
        self.set(move |config| config.policy.protocols = supported.clone())
            .support_handled()
    }

    /// Refuses a client that offers no supported subprotocol; see
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

    /// Sets whether requests without any `Origin` may connect; see
    /// [`WebSocketConfig::set_allow_missing_origin`].
    pub fn allow_missing_origin(self, allow: bool) -> Self {
        self.set(move |config| config.policy.allow_missing_origin = allow)
    }

    /// Sets how many bytes are asked of the stream in one read; see
    /// [`TransportConfig::read_buffer_size`].
    pub fn read_buffer_size(self, size: usize) -> Self {
        self.transport(move |transport| transport.read_buffer_size(size))
    }

    /// Sets how much is buffered before it is written; see [`TransportConfig::write_buffer_size`].
    pub fn write_buffer_size(self, size: usize) -> Self {
        self.transport(move |transport| transport.write_buffer_size(size))
    }

    /// Sets the watermark of the write buffer; see [`TransportConfig::max_write_buffer_size`].
    pub fn max_write_buffer_size(self, max: usize) -> Self {
        self.transport(move |transport| transport.max_write_buffer_size(max))
    }

    /// Sets the largest message that is received; see [`TransportConfig::max_message_size`].
    pub fn max_message_size(self, max: impl Into<Option<usize>>) -> Self {
        let max = max.into();
        self.transport(move |transport| transport.max_message_size(max))
    }

    /// Sets the largest data frame that is received; see [`TransportConfig::max_frame_size`].
    pub fn max_frame_size(self, max: impl Into<Option<usize>>) -> Self {
        let max = max.into();
        self.transport(move |transport| transport.max_frame_size(max))
    }

    /// Sets the length above which a message is sent in fragments; see
    /// [`TransportConfig::fragment_size`].
    pub fn fragment_size(self, size: usize) -> Self {
        self.transport(move |transport| transport.fragment_size(size))
    }

    /// Sets whether frames that are not masked are taken; see
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

    /// Appends the subprotocols that have a handler to the list of supported ones, which may have
    /// been set before or after them.
    pub(super) fn support_handled(mut self) -> Self {
        let handled = self.handlers.iter().map(|(name, _)| name);
        self.settings.config.policy.protocols.add(handled);
        self
    }
}
