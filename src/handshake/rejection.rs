//! Why an opening handshake is refused, and the HTTP answer that reports it.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE},
};

use super::HeadError;

/// The content type of a refusal's body, which is a line of text.
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Why a request is not upgraded to a WebSocket; the client is at fault unless a variant says so.
///
/// It converts into an HTTP answer: its [`status`](Self::status), its [`headers`](Self::headers),
/// and a body that names the header at fault. The body is the `Display` text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The method is not `GET` (RFC 6455, section 4.2.1): 405.
    #[error("the method of a WebSocket handshake is GET")]
    Method,
    /// The request is HTTP/1.0, where `Upgrade` has no meaning (RFC 9110, section 7.8): 426.
    ///
    /// The cause is nearly always a proxy in front of the server. nginx, for example, sends
    /// HTTP/1.0 unless `proxy_http_version 1.1` is set.
    #[error(
        "a WebSocket handshake needs HTTP/1.1, and this request is HTTP/1.0: a proxy in between \
         may be using HTTP/1.0 (nginx needs `proxy_http_version 1.1`)"
    )]
    Http10,
    /// The request has another major version than HTTP/1 (RFC 9110, section 15.6.6): 505.
    #[error("a WebSocket handshake needs HTTP/1.1")]
    HttpVersion,
    /// There is not exactly one valid `Host` (RFC 9112, section 3.2): 400.
    #[error("header `Host`: exactly one is needed, with a valid host and port")]
    Host,
    /// `Upgrade` lacks `websocket` (RFC 6455, section 4.2.1, item 3): 426.
    #[error(
        "header `Upgrade` does not ask for `websocket`: this resource speaks WebSocket only, or a \
         proxy in between has removed the header (nginx needs `proxy_http_version 1.1` and \
         `proxy_set_header Upgrade $http_upgrade`)"
    )]
    UpgradeHeader,
    /// `Connection` lacks the token `Upgrade` (RFC 6455, section 4.2.1, item 4): 400.
    #[error(
        "header `Connection` lacks the token `Upgrade`: the client did not send it, or a proxy in \
         between has removed it (nginx needs `proxy_http_version 1.1` and \
         `proxy_set_header Connection \"upgrade\"`)"
    )]
    ConnectionHeader,
    /// There is not exactly one valid `Sec-WebSocket-Key` (RFC 6455, section 4.2.1, item 5): 400.
    #[error("header `Sec-WebSocket-Key`: exactly one is needed, 16 bytes in base64")]
    KeyHeader,
    /// `Sec-WebSocket-Version` is not 13 (RFC 6455, section 4.4): 426.
    #[error("header `Sec-WebSocket-Version`: exactly one is needed, and only 13 is supported")]
    VersionHeader,
    /// `Sec-WebSocket-Protocol` is not a list of unique tokens (RFC 6455, section 4.1): 400.
    #[error("header `Sec-WebSocket-Protocol` is not a list of unique tokens")]
    ProtocolHeader,
    /// `Sec-WebSocket-Extensions` is not a list of extensions (RFC 6455, section 9.1): 400.
    #[error("header `Sec-WebSocket-Extensions` is not a list of extensions with parameters")]
    ExtensionsHeader,
    /// The request announces a body, whose bytes would be parsed as frames: 400.
    #[error("headers `Content-Length` and `Transfer-Encoding`: a WebSocket handshake has no body")]
    Body,
    /// `Origin` is not one of the allowed ones (RFC 6455, section 10.2): 403.
    #[error("header `Origin` names no origin that is allowed here")]
    Origin,
    /// The client offers no supported subprotocol, and the server requires one: 400.
    #[error("header `Sec-WebSocket-Protocol` offers no subprotocol that is supported here")]
    NoProtocol,
    /// The HTTP server provided no upgrade, or it was already taken: 500.
    ///
    /// The server is at fault. It serves without upgrades, two extractors of one request both want
    /// the connection, or the server is built on hyper and this crate without feature `hyper`.
    #[error(
        "this server did not hand over the connection: it serves without upgrades, \
         another extractor took it, or anyws was built without feature `hyper`"
    )]
    NotUpgradable,
    /// The server is shutting down ([`Tracker::drain`](crate::Tracker::drain)): 503.
    #[error("shutting down: try again, another server may answer")]
    Draining,
    /// As many sockets are open as the server allows
    /// ([`Tracker::max_sockets`](crate::Tracker::max_sockets)): 503.
    #[error("as many WebSockets are open as allowed: try again later")]
    TooManySockets,
    /// The client has as many sockets as the server allows
    /// ([`Tracker::max_per_client`](crate::Tracker::max_per_client)): 429 (RFC 6585, section 4).
    #[error("this client has as many WebSockets as the server allows: close one first")]
    TooManyPerClient,
    /// The head of the request could not be read, on a stream that this crate reads itself: 400,
    /// 408, 431 or 505.
    #[error("{0}")]
    Head(HeadError),
}

impl Rejection {
    /// Returns the status code of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Http10 | Self::UpgradeHeader | Self::VersionHeader => {
                StatusCode::UPGRADE_REQUIRED
            }
            Self::Origin => StatusCode::FORBIDDEN,
            Self::NotUpgradable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Draining | Self::TooManySockets => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyPerClient => StatusCode::TOO_MANY_REQUESTS,
            Self::Head(error) => error.status(),
            Self::Host
            | Self::ConnectionHeader
            | Self::KeyHeader
            | Self::ProtocolHeader
            | Self::ExtensionsHeader
            | Self::Body
            | Self::NoProtocol => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns the headers of the answer: those that the RFCs require for its status, and the
    /// content type.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, TEXT)]);
        let mut add =
            |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
        if *self == Self::Method {
            // RFC 9110, section 15.5.6.
            add(ALLOW, "GET");
        }
        if *self == Self::VersionHeader {
            // RFC 6455, section 4.4.
            add(SEC_WEBSOCKET_VERSION, "13");
        }
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            // RFC 9110, section 15.5.22.
            add(UPGRADE, "websocket");
            add(CONNECTION, "upgrade");
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            // RFC 9110, section 15.6.4, in seconds: by then another server answers, or a socket has
            // ended.
            add(RETRY_AFTER, "1");
        }
        if *self == Self::Draining {
            // The server waits until its HTTP connections have ended, too.
            add(CONNECTION, "close");
        }
        headers
    }

    /// Returns the whole answer, with the reason as its body.
    #[must_use]
    pub fn into_response<B: From<String>>(self) -> Response<B> {
        self.response_with(Into::into)
    }

    /// Returns the whole answer, with a body made from the reason.
    pub(crate) fn response_with<B>(&self, body: impl FnOnce(String) -> B) -> Response<B> {
        let mut response = Response::new(body(self.to_string()));
        *response.status_mut() = self.status();
        *response.headers_mut() = self.headers();
        response
    }
}
