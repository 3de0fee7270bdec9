//! The span of a handler.

use tracing::Span;

use super::WebSocketUpgrade;
use crate::trace::TaskSpan;

impl<B> WebSocketUpgrade<B> {
    /// Sets the span in which the handler of [`on_upgrade`](Self::on_upgrade) runs; default a span
    /// `websocket` at DEBUG with the target `anyws`.
    ///
    /// The default span has no parent, because it outlives the request. It follows from the span
    /// that is current when `on_upgrade` is called. With [`Span::none`], the handler runs in no
    /// span.
    ///
    /// The span is current in each poll of the handler, on any runtime, and is closed when the
    /// handler has ended. A subscriber may keep every event of an open span: with a span of your
    /// own, make it a root (`parent: None`), and make a span for each message. The guide on
    /// [observability](crate::guide::observability) shows both.
    ///
    /// [`accept`](Self::accept) runs no handler and does not use the span.
    ///
    /// ```
    /// use anyws::{WebSocket, WebSocketUpgrade, http::Response};
    /// use tracing::info_span;
    ///
    /// # async fn chat(_: WebSocket) {}
    /// fn answer(ws: WebSocketUpgrade<String>, user: u64) -> Response<String> {
    ///     ws.span(info_span!(parent: None, "chat", user)).on_upgrade(chat)
    /// }
    /// ```
    pub fn span(mut self, span: Span) -> Self {
        self.span = TaskSpan::new(span);
        self
    }
}
