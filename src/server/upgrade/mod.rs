//! The extractor: turns the head of a request into a response and a socket.

use std::{borrow::Cow, fmt, future::Future, sync::Arc};

use http::Response;

pub(crate) use self::refusal::refusal;
pub use self::{
    body::{ResponseBody, UnknownBody},
    handlers::ProtocolHandlers,
    output::HandlerOutput,
    upgrade_io::UpgradeIo,
    upgrading::Upgrading,
};
use self::{
    handlers::Handler,
    settings::Settings,
    task::{Callback, ErrorCallback, Guard, Job},
    upgrade_io::Upgrade,
};
use crate::{
    error::{BoxError, Error},
    handshake::{ProtocolChoice, RequestedProtocols, UpgradeRequest},
    rt::Runtime,
    server::admission::admit,
    socket::WebSocket,
    sync::Exclusive,
    trace::{self, TaskSpan},
    tracker::Permit,
};

mod body;
mod extraction;
mod handlers;
#[cfg(feature = "hyper")]
mod hyper;
mod output;
mod refusal;
mod settings;
#[cfg(feature = "tracing")]
mod span;
mod task;
mod upgrade_io;
mod upgrading;

/// A request for a WebSocket, checked and ready to be accepted.
///
/// In Volo and axum it is an extractor, see `anyws::volo` and `anyws::axum`. Elsewhere,
/// [`from_request`](Self::from_request) creates it. Nothing is answered until the handler calls
/// [`on_upgrade`](Self::on_upgrade) or [`accept`](Self::accept).
///
/// `B` is the body of the response: any body that implements `Default`. In axum and Volo, use the
/// aliases that set it, `anyws::axum::WebSocketUpgrade` and `anyws::volo::WebSocketUpgrade`. In a
/// service of hyper, it is inferred from what the service returns; where you have to write it, name
/// it: `WebSocketUpgrade<String>`.
///
/// ```
/// use anyws::{WebSocket, WebSocketUpgrade};
/// use http::{Request, Response};
///
/// async fn handle_socket(mut socket: WebSocket) -> anyws::Result<()> {
///     while let Some(message) = socket.next_data().await {
///         socket.send(message?).await?;
///     }
///     Ok(())
/// }
///
/// /// A service of a server on hyper, with any runtime.
/// fn service<T>(mut request: Request<T>) -> Response<String> {
///     match WebSocketUpgrade::from_request(&mut request) {
///         Ok(ws) => ws
///             .on_failed_upgrade(|error| eprintln!("no upgrade: {error:#}"))
///             .on_upgrade(handle_socket),
///         Err(rejection) => rejection.into_response(),
///     }
/// }
/// ```
///
/// # Which subprotocol is chosen
///
/// The server chooses the first name of its own list that the client offers. The list has the names
/// of [`protocols`](Self::protocols), followed by those of [`on_protocol`](Self::on_protocol) and
/// [`on_protocols`](Self::on_protocols) that are not in it yet.
/// [`select_protocol`](Self::select_protocol) replaces this rule.
///
/// If no name matches, the client is accepted without a subprotocol, which RFC 6455, section 4.2.2
/// allows. Some clients that have offered one then fail the connection themselves, for instance
/// Chromium, Node's undici and websocket-client. With [`require_protocol`](Self::require_protocol),
/// the server refuses such a client with 400 and says why.
#[must_use = "call `on_upgrade` or `accept` to answer the request"]
pub struct WebSocketUpgrade<B = UnknownBody> {
    upgrade_request: UpgradeRequest,
    upgrade: Exclusive<Upgrade>,
    settings: Settings,
    /// The runtime in the request's extensions.
    request_runtime: Option<Arc<dyn Runtime>>,
    choice: ProtocolChoice,
    handlers: Vec<(Cow<'static, str>, Handler)>,
    on_failed_upgrade: Exclusive<Option<Callback>>,
    on_handler_error: Exclusive<Option<ErrorCallback>>,
    /// Of the tracker in the request's extensions.
    permit: Option<Permit>,
    span: TaskSpan,
    /// Turns the reason of a refusal into its body.
    refusal_body: fn(String) -> B,
}

impl<B> WebSocketUpgrade<B> {
    /// Sets how the body of a refusal is made from its reason, a line of text; default
    /// `B::default()`. The extractors of Volo and axum set it.
    pub fn refusal_body(mut self, body: fn(String) -> B) -> Self {
        self.refusal_body = body;
        self
    }

    /// Sets a callback that chooses the subprotocol. Its argument is an iterator over the names
    /// that the client offers, in the client's order.
    ///
    /// `None` chooses no subprotocol. Choosing a name that the client did not offer is a mistake of
    /// the server: the client gets 500, and `on_failed_upgrade` gets
    /// [`ConfigError::ProtocolNotOffered`](crate::ConfigError::ProtocolNotOffered).
    ///
    /// ```
    /// # use anyws::WebSocketUpgrade;
    /// # fn newest(ws: WebSocketUpgrade<String>) -> WebSocketUpgrade<String> {
    /// ws.select_protocol(|offered| {
    ///     let name = offered.find(|name| name.starts_with("chat.v"));
    ///     name.map(str::to_owned)
    /// })
    /// # }
    /// ```
    pub fn select_protocol<P>(
        mut self,
        select: impl FnOnce(&mut RequestedProtocols<'_>) -> Option<P>,
    ) -> Self
    where
        P: Into<Cow<'static, str>>,
    {
        let selected = select(&mut self.requested_protocols());
        self.choice = ProtocolChoice::Callback(selected.map(Into::into));
        self
    }

    /// Returns the subprotocols that the client offers, in the client's order.
    #[must_use]
    pub fn requested_protocols(&self) -> RequestedProtocols<'_> {
        self.upgrade_request.requested_protocols()
    }

    /// Returns the subprotocol that the settings so far choose.
    #[must_use]
    pub fn selected_protocol(&self) -> Option<&str> {
        self.choice.select(
            &self.settings.config.policy.protocols,
            &self.upgrade_request.requested_protocols(),
        )
    }

    /// Sets a callback for every failure after the extractor has succeeded; default none.
    ///
    /// The callback is called at most once, with the reason why no handler runs:
    ///
    /// - The settings refuse the client ([`Error::Rejected`]) or cannot work ([`Error::Config`]),
    ///   or there is no runtime ([`Error::NoRuntime`]). `on_upgrade` makes the call.
    /// - The server does not hand over the connection ([`Error::Upgrade`]), or not in time
    ///   ([`Error::Timeout`]). The call is made in the background.
    /// - The runtime was shut down and drops the task of the connection before the handler has
    ///   started ([`Error::Upgrade`]). The call is made where the task is dropped.
    ///
    /// [`accept`](Self::accept) does not call it; it returns the error instead. Without a callback,
    /// the feature `tracing` reports the failure as an event.
    pub fn on_failed_upgrade(mut self, callback: impl FnOnce(Error) + Send + 'static) -> Self {
        self.on_failed_upgrade = Exclusive::new(Some(Box::new(callback)));
        self
    }

    /// Sets a callback for a handler that returns `Err`; default none.
    ///
    /// The callback is called at most once, with the error, after the socket was closed with
    /// code 1011. A handler that panics returns no error: only the panic hook and the feature
    /// `tracing` report its panic. A panic of the callback does no further harm.
    ///
    /// ```
    /// use anyws::{WebSocket, WebSocketUpgrade, http::Response};
    ///
    /// async fn echo(mut socket: WebSocket) -> anyws::Result<()> {
    ///     while let Some(message) = socket.next_data().await {
    ///         socket.send(message?).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// fn answer(ws: WebSocketUpgrade<String>) -> Response<String> {
    ///     ws.on_handler_error(|error| match error.downcast_ref::<anyws::Error>() {
    ///         // Clients leave all the time.
    ///         Some(error) if error.is_disconnect() => {}
    ///         _ => eprintln!("the handler failed: {error}"),
    ///     })
    ///     .on_upgrade(echo)
    /// }
    /// ```
    ///
    /// The error is the one that the handler returned, so it can be downcast. An error of anyhow
    /// cannot: such a handler has to return [`BoxError`], or look for a disconnect itself.
    ///
    /// [`accept`](Self::accept) runs no handler and does not call the callback. Without a callback,
    /// the feature `tracing` reports the error as an event.
    pub fn on_handler_error(mut self, callback: impl FnOnce(BoxError) + Send + 'static) -> Self {
        self.on_handler_error = Exclusive::new(Some(Box::new(callback)));
        self
    }

    /// Registers the handler for subprotocol `name`, and adds `name` to the supported ones. Call it
    /// once for each subprotocol; the first registration of a name wins.
    ///
    /// Each handler is a closure of its own, so shared state is cloned for each. If handlers share
    /// much, a single handler that checks the subprotocol is simpler:
    ///
    /// ```
    /// # use anyws::{WebSocket, WebSocketUpgrade, http::Response};
    /// # struct App;
    /// # async fn chat(_: WebSocket, _: App) {}
    /// # async fn news(_: WebSocket, _: App) {}
    /// fn answer(ws: WebSocketUpgrade<String>, app: App) -> Response<String> {
    ///     ws.protocols(["chat", "news"])
    ///         .on_upgrade(async |socket: WebSocket| match socket.protocol() {
    ///             Some("chat") => chat(socket, app).await,
    ///             _ => news(socket, app).await,
    ///         })
    /// }
    /// ```
    pub fn on_protocol<H, Fut>(mut self, name: impl Into<Cow<'static, str>>, handler: H) -> Self
    where
        H: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output: HandlerOutput> + Send + 'static,
    {
        self.handlers.push((name.into(), Handler::new(handler)));
        self.support_handled()
    }

    /// Registers handlers of one type for several subprotocols: an array, a vector or a map of
    /// names and handlers.
    ///
    /// Names that are not in the list of supported subprotocols yet are appended to it; those of a
    /// map are sorted. Collect an iterator into a vector first. To mix handlers of several types,
    /// turn each into an `fn(WebSocket) -> BoxFuture<'static, ()>`.
    pub fn on_protocols<H, Fut>(self, handlers: impl ProtocolHandlers<H>) -> Self
    where
        H: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output: HandlerOutput> + Send + 'static,
    {
        let pairs = handlers.into_pairs().into_iter();
        pairs.fold(self, |this, (name, handler)| {
            this.on_protocol(name, handler)
        })
    }

    /// Accepts the connection and runs `handler` with its socket in the background.
    ///
    /// If the chosen subprotocol has a handler of its own ([`on_protocol`](Self::on_protocol)),
    /// that handler runs instead.
    ///
    /// Return the response to the server. It is the 101 response or a refusal: 403 for an origin
    /// that is not allowed; 400 if a subprotocol is required and none matches; 500 if the settings
    /// cannot work, if there is no runtime, or if the runtime was shut down.
    ///
    /// # How a handler ends
    ///
    /// A handler returns `()` or `Result<(), E>`, where `E` converts into a [`BoxError`]. It may
    /// also loop forever and never return ([`HandlerOutput`]).
    ///
    /// When the handler returns, the sockets and halves that it drops are closed. `()` or `Ok`
    /// closes them with code 1000. `Err` closes them with 1011 and no reason, and the error goes to
    /// [`on_handler_error`](Self::on_handler_error). The code depends on the result, so a handler
    /// that returns a `Result` sends the Close of a dropped socket once it waits or returns.
    ///
    /// An error does not change a Close that was sent before, by the handler's own
    /// [`close`](WebSocket::close) or by an earlier drop. A socket that was moved to another task
    /// is closed by that task.
    ///
    /// If a handler panics, its socket is closed with code 1011 as well, unless it was dropped
    /// before. Nothing else is affected.
    #[must_use = "the response has to be returned to the server"]
    pub fn on_upgrade<H, Fut>(mut self, handler: H) -> Response<B>
    where
        H: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output: HandlerOutput> + Send + 'static,
        B: ResponseBody,
    {
        let mut handlers = std::mem::take(&mut self.handlers);
        let (on_failed_upgrade, on_handler_error) = self.take_callbacks();
        let span = std::mem::take(&mut self.span);
        let (guard, watch) = Guard::new(on_failed_upgrade);
        let Some(runtime) = self.find_runtime() else {
            guard.fail(Error::NoRuntime);
            return refusal(&Error::NoRuntime, self.refusal_body);
        };
        let refusal_body = self.refusal_body;
        let (response, upgrading) = self.accept_on(Some(Arc::clone(&runtime)));
        let upgrading = match upgrading.into_refusal() {
            Ok(upgrading) => upgrading,
            Err(error) => {
                guard.fail(error);
                return response;
            }
        };
        let own = position(&handlers, upgrading.protocol());
        let job = Job {
            upgrading,
            guard,
            on_handler_error,
            span,
        };
        let task = match own {
            Some(own) => handlers.swap_remove(own).1.into_task(job),
            None => job.into_task(handler),
        };
        task::spawn(&runtime, task);
        if watch.is_dropped() {
            return refusal(&task::dropped(), refusal_body);
        }
        response
    }

    /// Accepts the connection: returns the response for the server, and a future of the socket.
    ///
    /// It needs no runtime: the caller drives the future after passing the response to the server.
    /// If the settings refuse the client, the response says so, and the future returns the error at
    /// once. Handlers and `on_failed_upgrade` belong to [`on_upgrade`](Self::on_upgrade) and are
    /// not called.
    pub fn accept(self) -> (Response<B>, Upgrading)
    where
        B: ResponseBody,
    {
        let runtime = self.find_runtime();
        self.accept_on(runtime)
    }

    fn accept_on(self, runtime: Option<Arc<dyn Runtime>>) -> (Response<B>, Upgrading)
    where
        B: ResponseBody,
    {
        let Self {
            upgrade_request,
            upgrade,
            settings: Settings { config, label, .. },
            choice,
            permit,
            refusal_body,
            ..
        } = self;
        let tracker = permit.as_ref().map(Permit::tracker);
        let tracker = tracker.or_else(|| config.tracker.clone());
        let accepted = config
            .check_timeouts(runtime.as_ref())
            .and_then(|()| config.check(&choice))
            .and_then(|()| {
                Ok(upgrade_request.decide(&config.policy, &choice, config.usable_deflate())?)
            })
            .and_then(|negotiated| Ok((negotiated, admit(permit, config.tracker.as_ref(), None)?)));
        if let (Some(tracker), Err(Error::Rejected(rejection))) = (tracker, &accepted) {
            tracker.refused(rejection);
        }
        match accepted {
            Err(error) => (refusal(&error, refusal_body), Upgrading::refused(error)),
            Ok((negotiated, permit)) => {
                let response = negotiated.response(B::default());
                (
                    response,
                    Upgrading::new(upgrade, negotiated, config, runtime, permit, label),
                )
            }
        }
    }

    /// Returns the callbacks of the user. Where there is none, `tracing` may have one.
    fn take_callbacks(&mut self) -> (Option<Callback>, Option<ErrorCallback>) {
        let failed_upgrade = std::mem::take(&mut self.on_failed_upgrade).into_inner();
        let handler_error = std::mem::take(&mut self.on_handler_error).into_inner();
        (
            failed_upgrade.or_else(trace::failed_upgrade),
            handler_error.or_else(trace::handler_error),
        )
    }

    fn find_runtime(&self) -> Option<Arc<dyn Runtime>> {
        let config = &self.settings.config;
        config.find_runtime(self.request_runtime.as_ref())
    }
}

/// Returns the index of the handler for a subprotocol.
fn position(handlers: &[(Cow<'static, str>, Handler)], protocol: Option<&str>) -> Option<usize> {
    handlers.iter().position(|(own, _)| protocol == Some(own))
}

/// Shows the settings, but nothing of the request: its headers carry cookies and tokens, and names
/// of subprotocols may be tokens too.
impl<B> fmt::Debug for WebSocketUpgrade<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("config", &self.settings.config)
            .finish_non_exhaustive()
    }
}
