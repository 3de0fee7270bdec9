//! A request for a WebSocket on a bare stream, between its head and its answer.

use std::fmt;

use http::{HeaderMap, Request, Response};

use super::{
    Incoming, PlainRequest,
    incoming::Brief,
    unanswered::{Received, Unanswered},
};
use crate::{
    config::WebSocketConfig,
    error::{Error, Result},
    handshake::{ProtocolChoice, RequestedProtocols, UpgradeRequest},
    io::Io,
    server::admission::admit,
    socket::WebSocket,
    tracker::Permit,
};

/// A request for a WebSocket that was read from a bare stream and checked, and is not yet answered.
///
/// It is for servers that look at the request before they decide, for example at its path or its
/// cookies.
///
/// ```
/// # async fn serve(stream: impl anyws::Io + 'static) -> anyws::Result<()> {
/// use anyws::{ServerHandshake, WebSocketConfig, http::Response};
///
/// let handshake = ServerHandshake::read(stream, WebSocketConfig::new()).await?;
/// if handshake.request().uri().path() != "/chat" {
///     let not_found = Response::builder().status(404).body("no such room\n");
///     return handshake.reject(not_found.expect("a valid response")).await;
/// }
/// let socket = handshake.accept().await?;
/// # drop(socket);
/// # Ok(())
/// # }
/// ```
#[must_use = "accept or reject the handshake"]
pub struct ServerHandshake {
    connection: Unanswered,
    request: Request<()>,
    upgrade_request: UpgradeRequest,
    read_ahead: Vec<u8>,
    permit: Option<Permit>,
}

impl ServerHandshake {
    /// Reads the head of a request and checks it.
    ///
    /// The head may have up to 64 KiB and 128 header lines, and may arrive byte by byte. It has to
    /// be complete within the head timeout, 10 s by default
    /// ([`WebSocketConfig::set_head_timeout`]). A peer that does not speak HTTP/1 is refused at its
    /// first byte that cannot be part of a head. Bytes after the head are the first frames; the
    /// socket gets them.
    ///
    /// # Errors
    ///
    /// As for [`accept`](crate::accept). A refused request has been answered, and the stream is
    /// closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn read(io: impl Io + 'static, config: WebSocketConfig) -> Result<Self> {
        let (connection, head) = Unanswered::read(io, config).await?;
        Self::check(connection, head).await
    }

    /// Reads the head of any request, for a server that also answers plain HTTP on its port: the
    /// health check of a load balancer, a page, or a redirect.
    ///
    /// A request that asks for no WebSocket is [`Incoming::Http`]: it has neither `Upgrade:
    /// websocket` nor `Sec-WebSocket-Key`, or it is HTTP/1.0, which has no upgrade (RFC 9110,
    /// section 7.8). A malformed request for a WebSocket is refused as [`read`](Self::read) does.
    /// The limits and the deadline are those of `read`.
    ///
    /// ```
    /// # async fn serve(stream: impl anyws::Io + 'static) -> anyws::Result<()> {
    /// use anyws::{
    ///     ServerHandshake, Incoming, WebSocketConfig,
    ///     http::{Response, StatusCode},
    /// };
    ///
    /// let handshake = match ServerHandshake::read_any(stream, WebSocketConfig::new()).await? {
    ///     Incoming::WebSocket(handshake) => handshake,
    ///     Incoming::Http(plain) => {
    ///         let mut response = Response::new("healthy\n");
    ///         if plain.request().uri().path() != "/health" {
    ///             response = Response::new("not found\n");
    ///             *response.status_mut() = StatusCode::NOT_FOUND;
    ///         }
    ///         return plain.respond(response).await;
    ///     }
    ///     _ => return Ok(()),
    /// };
    /// let socket = handshake.accept().await?;
    /// # drop(socket);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn read_any(io: impl Io + 'static, config: WebSocketConfig) -> Result<Incoming> {
        let (connection, head) = Unanswered::read(io, config).await?;
        let request = &head.message;
        if UpgradeRequest::is_asked_for(request.version(), request.headers()) {
            Self::check(connection, head).await.map(Incoming::WebSocket)
        } else {
            let plain = PlainRequest::new(connection, head.message);
            Ok(Incoming::Http(plain))
        }
    }

    /// Checks the request, and refuses it if it is not a valid handshake.
    async fn check(connection: Unanswered, head: Received) -> Result<Self> {
        let Received {
            message: request,
            read_ahead,
        } = head;
        match UpgradeRequest::read(request.method(), request.version(), request.headers()) {
            Ok(upgrade_request) => Ok(Self {
                connection,
                request,
                upgrade_request,
                read_ahead,
                permit: None,
            }),
            Err(rejection) => Err(connection.refuse(rejection).await),
        }
    }

    /// Returns the request: its path, headers and cookies.
    #[must_use]
    pub fn request(&self) -> &Request<()> {
        &self.request
    }

    /// Returns the subprotocols that the client offers, in the client's order.
    #[must_use]
    pub fn requested_protocols(&self) -> RequestedProtocols<'_> {
        self.upgrade_request.requested_protocols()
    }

    /// Gives the handshake a permit of a [`Tracker`](crate::Tracker), which counts its socket.
    ///
    /// The tracker of the settings is then not asked.
    ///
    /// ```
    /// # use std::net::SocketAddr;
    /// # use anyws::{Io, Tracker, WebSocketConfig};
    /// # type Result = anyws::Result<()>;
    /// # async fn serve(tracker: Tracker, stream: impl Io + 'static, peer: SocketAddr) -> Result {
    /// use anyws::ServerHandshake;
    ///
    /// let handshake = ServerHandshake::read(stream, WebSocketConfig::new()).await?;
    /// let socket = match tracker.permit(peer.ip()) {
    ///     Ok(permit) => handshake.permit(permit).accept().await?,
    ///     Err(rejection) => {
    ///         return handshake.reject(rejection.into_response::<String>()).await;
    ///     }
    /// };
    /// # drop(socket);
    /// # Ok(())
    /// # }
    /// ```
    pub fn permit(mut self, permit: Permit) -> Self {
        self.connection.set_tracker(permit.tracker());
        self.permit = Some(permit);
        self
    }

    /// Answers 101 and starts the socket, unless the settings refuse the client.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] if the origin or the subprotocols do not satisfy the settings, or if
    /// their tracker refuses the client; the client has been answered. [`Error::Io`] if the answer
    /// cannot be written. [`Error::Timeout`] if it is not written within the upgrade timeout.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    ///
    /// [`Error::Rejected`]: crate::Error::Rejected
    /// [`Error::Io`]: crate::Error::Io
    /// [`Error::Timeout`]: crate::Error::Timeout
    pub async fn accept(self) -> Result<WebSocket> {
        self.accept_with(HeaderMap::new()).await
    }

    /// Answers 101 with additional headers, such as `Set-Cookie`, and starts the socket.
    ///
    /// `headers` must not contain a header of the handshake: `Connection`, `Upgrade`, or any
    /// `Sec-WebSocket-` header. For the subprotocol, use
    /// [`set_protocols`](WebSocketConfig::set_protocols). A 101 also has no `Content-Length` and no
    /// `Transfer-Encoding` (RFC 9110, sections 8.6 and 15.2; RFC 9112, section 6.1). Every other
    /// header is sent unchanged. A [`HeaderValue`](http::HeaderValue) cannot contain a line break,
    /// so it cannot smuggle in another header.
    ///
    /// ```
    /// # async fn serve(stream: impl anyws::Io + 'static) -> anyws::Result<()> {
    /// use anyws::{
    ///     ServerHandshake, WebSocketConfig,
    ///     http::{HeaderMap, HeaderValue, header::SET_COOKIE},
    /// };
    ///
    /// let handshake = ServerHandshake::read(stream, WebSocketConfig::new()).await?;
    /// let mut headers = HeaderMap::new();
    /// headers.insert(SET_COOKIE, HeaderValue::from_static("visited=1; HttpOnly; SameSite=Lax"));
    /// let socket = handshake.accept_with(headers).await?;
    /// # drop(socket);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept). [`Error::Config`] with
    /// [`HandshakeHeader`](crate::ConfigError::HandshakeHeader) if one of `headers` belongs to the
    /// handshake; the client gets a 500 response, and the stream is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    ///
    /// [`Error::Config`]: crate::Error::Config
    pub async fn accept_with(self, headers: HeaderMap) -> Result<WebSocket> {
        let Self {
            mut connection,
            upgrade_request,
            read_ahead,
            request,
            permit,
        } = self;
        // The settings were checked before the head was read.
        let config = connection.config();
        let request = request.into_parts().0;
        let answer = upgrade_request
            .decide(
                &config.policy,
                &ProtocolChoice::List,
                config.usable_deflate(),
            )
            .map_err(Error::from)
            .and_then(|negotiated| {
                let response = negotiated.response_with(&[][..], headers)?;
                let permit = admit(permit, config.tracker.as_ref(), Some(&request))?;
                Ok((negotiated, response, permit))
            });
        drop(request);
        let (negotiated, response, permit) = match answer {
            Ok(answer) => answer,
            Err(error) => return Err(connection.refuse(error).await),
        };
        connection.switch(&response).await?;
        Ok(connection.into_socket(read_ahead, &negotiated, permit))
    }

    /// Answers with `response`, which is not a 101, and closes the stream.
    ///
    /// `Content-Length` and `Connection: close` are added.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the answer cannot be written. [`Error::Timeout`] if it is not written
    /// within the close timeout.
    ///
    /// # Panics
    ///
    /// If the status of `response` is informational, such as 101: such an answer does not refuse
    /// the request.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    ///
    /// [`Error::Io`]: crate::Error::Io
    /// [`Error::Timeout`]: crate::Error::Timeout
    pub async fn reject(self, response: Response<impl AsRef<[u8]>>) -> Result<()> {
        self.connection.respond(response).await
    }
}

/// Shows only the method and the path: the query and the headers carry cookies and tokens.
impl fmt::Debug for ServerHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandshake")
            .field("request", &Brief(&self.request))
            .finish_non_exhaustive()
    }
}
