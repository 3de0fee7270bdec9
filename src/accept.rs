//! The server end of a bare stream: no HTTP library, the same handshake.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_tungstenite::tungstenite::protocol::Role;
use futures_io::AsyncRead;
use futures_util::AsyncWriteExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::{
    Error, Rejection, Result, WebSocket, WebSocketConfig,
    error::Phase,
    handshake::{Choice, Complete, Head, HeadError, Offer},
    io::{BoxIo, Io, boxed},
    rt::{self, Deadline, Runtime, Timeout},
};

/// Bytes asked of the stream at once while the head arrives: one page holds nearly every head.
const READ_SIZE: usize = 4096;

/// Reads of a refused client for which its connection may keep the thread, before others get a turn.
const LINGER_BUDGET: usize = 32;

/// Serves a WebSocket on a bare stream: reads the request, checks it and answers it.
///
/// It is the short form of [`Handshake::read`] followed by [`Handshake::accept`].
///
/// ```
/// # async fn serve(stream: impl anyws::Io + 'static) -> anyws::Result<()> {
/// let config = anyws::WebSocketConfig::new();
/// let mut socket = anyws::accept(stream, config).await?;
/// while let Some(message) = socket.next().await {
///     println!("{}", message?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::Rejected`] if the request is refused, or its head did not come in time; the client was
/// told so. [`Error::ClosedWithoutHandshake`] if the client left before its request was complete,
/// [`Error::Io`] if the stream fails, [`Error::Timeout`] if the answer cannot be written within the
/// upgrade timeout, [`Error::Config`] and [`Error::NoRuntime`] if the settings cannot work.
///
/// # Cancel safety
///
/// Dropping it drops the stream: nothing is left half open.
pub fn accept(
    io: impl Io + 'static,
    config: WebSocketConfig,
) -> impl Future<Output = Result<WebSocket>> + Send + Unpin {
    // Boxed, so that the memory of the handshake goes with it: a task is as large as the most that it
    // ever holds, and this one may go on to run the handler of the socket.
    Box::pin(async { Handshake::read(io, config).await?.accept().await })
}

/// A request for a WebSocket that was read from a bare stream, checked and not yet answered.
///
/// It is for servers that look at the request before they decide: its path, its cookies.
///
/// ```
/// # async fn serve(stream: impl anyws::Io + 'static) -> anyws::Result<()> {
/// use anyws::{Handshake, WebSocketConfig, http::Response};
///
/// let handshake = Handshake::read(stream, WebSocketConfig::new()).await?;
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
pub struct Handshake {
    connection: Unanswered,
    request: Request<()>,
    offer: Offer,
    early: Vec<u8>,
}

impl Handshake {
    /// Reads the head of a request and checks it.
    ///
    /// The head may have 64 KiB and 128 header lines, may come byte by byte, and has to be complete
    /// within the head timeout, 10 s by default ([`WebSocketConfig::set_head_timeout`]). Bytes
    /// behind it are the first frames and are kept for the socket.
    ///
    /// # Errors
    ///
    /// As for [`accept`]. A request that is refused was answered, and the stream is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the stream.
    pub async fn read(io: impl Io + 'static, config: WebSocketConfig) -> Result<Self> {
        config.check(&Choice::List)?;
        let runtime = config.runtime.clone().or_else(rt::detect);
        config.check_timeouts(runtime.as_ref())?;
        let mut connection = Unanswered {
            io: boxed(io),
            config,
            runtime,
            is_head: false,
        };

        let Complete { request, early } = match connection.read_head().await? {
            Ok(complete) => complete,
            Err(error) => return Err(connection.refuse(Rejection::Head(error)).await),
        };
        connection.is_head = request.method() == Method::HEAD;
        match Offer::read(request.method(), request.version(), request.headers()) {
            Ok(offer) => Ok(Self {
                connection,
                request,
                offer,
                early,
            }),
            Err(rejection) => Err(connection.refuse(rejection).await),
        }
    }

    /// Returns the request: its path, headers and cookies.
    #[must_use]
    pub fn request(&self) -> &Request<()> {
        &self.request
    }

    /// Returns the subprotocols that the client offers, in its order.
    pub fn requested_protocols(&self) -> impl Iterator<Item = &str> {
        self.offer.requested().iter().map(String::as_str)
    }

    /// Answers 101 and starts the socket; a client that the settings refuse is told so instead.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] if the origin or the subprotocols do not satisfy the settings,
    /// [`Error::Io`] if the answer cannot be written, [`Error::Timeout`] if it is not within the
    /// upgrade timeout.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the stream.
    pub async fn accept(self) -> Result<WebSocket> {
        let Self {
            mut connection,
            offer,
            early,
            ..
        } = self;
        let config = &connection.config;
        let acceptance = match offer.decide(config, &Choice::List) {
            Ok(acceptance) => acceptance,
            Err(Error::Rejected(rejection)) => return Err(connection.refuse(rejection).await),
            Err(error) => return Err(error),
        };
        connection.switch(&acceptance.response(&[])).await?;
        let Unanswered {
            io,
            config,
            runtime,
            ..
        } = connection;
        let protocol = acceptance.protocol();
        Ok(WebSocket::new(
            io,
            early,
            Role::Server,
            protocol,
            &config,
            runtime,
        ))
    }

    /// Answers with `response`, which is not a 101, and closes the stream.
    ///
    /// `Content-Length` and `Connection: close` are added.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the answer cannot be written, [`Error::Timeout`] if it is not within the
    /// close timeout.
    ///
    /// # Panics
    ///
    /// If the status of `response` is informational, as 101 is: such an answer refuses nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the stream.
    pub async fn reject(self, response: Response<impl AsRef<[u8]>>) -> Result<()> {
        assert!(
            !response.status().is_informational(),
            "a refusal has a final status"
        );
        self.connection.finish(response).await
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// A stream on which no answer was written yet.
struct Unanswered {
    io: BoxIo,
    config: WebSocketConfig,
    runtime: Option<Arc<dyn Runtime>>,
    /// An answer to HEAD has no body, only its length (RFC 9110, section 9.3.2).
    is_head: bool,
}

impl Unanswered {
    fn deadline(&self, timeout: Timeout) -> Deadline {
        Deadline::start(timeout, self.runtime.as_ref())
    }

    /// Reads up to the end of the head; the inner error is the client's fault.
    async fn read_head(&mut self) -> Result<Result<Complete, HeadError>> {
        let mut deadline = self.deadline(self.config.head_timeout);
        let mut head = Head::default();
        loop {
            let Some(read) = deadline
                .bound(poll_fn(|cx| poll_head(&mut self.io, cx, &mut head)))
                .await
            else {
                return Ok(Err(HeadError::Timeout));
            };
            match read?.transpose() {
                None => {}
                Some(read) => return Ok(read),
            }
        }
    }

    /// Writes the answer that switches protocols.
    async fn switch(&mut self, response: &Response<&[u8]>) -> Result<()> {
        let bytes = encode(response);
        let mut deadline = self.deadline(self.config.upgrade_timeout);
        let timeout = Error::Timeout(Phase::Upgrade);
        deadline
            .bound(write(&mut self.io, &bytes))
            .await
            .unwrap_or(Err(timeout))
    }

    /// Tells the client why it is refused.
    async fn refuse(self, rejection: Rejection) -> Error {
        // The rejection is what the caller has to know; that the client went away adds nothing.
        let _ = self.finish(rejection.into_response::<String>()).await;
        Error::Rejected(rejection)
    }

    /// Writes the only answer and closes the stream.
    async fn finish(mut self, mut response: Response<impl AsRef<[u8]>>) -> Result<()> {
        let length = response.body().as_ref().len();
        response.headers_mut().remove(header::TRANSFER_ENCODING);
        // RFC 9110, sections 8.6 and 15.4.5: neither has a body, and a 204 no length either.
        let status = response.status();
        let is_bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if is_bodiless {
            response.headers_mut().remove(header::CONTENT_LENGTH);
        } else {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        response
            .headers_mut()
            .append(header::CONNECTION, HeaderValue::from_static("close"));
        let mut bytes = encode(&response);
        if self.is_head || is_bodiless {
            bytes.truncate(bytes.len() - length);
        }
        let mut deadline = self.deadline(self.config.close_timeout);
        let answer = async {
            write(&mut self.io, &bytes).await?;
            Ok(self.io.close().await?)
        };
        let answered = deadline.bound(answer).await;
        answered.unwrap_or(Err(Error::Timeout(Phase::Close)))?;
        if let Some(runtime) = self.runtime.clone().filter(|runtime| runtime.has_timers()) {
            runtime.spawn(Box::pin(linger(self.io, deadline)));
        }
        Ok(())
    }
}

/// Reads once, and adds what came to the head.
///
/// The chunk is on the stack of a poll: in the future it would cost every socket, whose handler runs
/// in the same task, as much memory for as long as that lives.
fn poll_head(
    io: &mut BoxIo,
    cx: &mut Context<'_>,
    head: &mut Head,
) -> Poll<Result<Result<Option<Complete>, HeadError>>> {
    let mut chunk = [0; READ_SIZE];
    match ready!(Pin::new(io).poll_read(cx, &mut chunk))? {
        0 => Poll::Ready(Err(Error::ClosedWithoutHandshake)),
        length => Poll::Ready(Ok(head.push(&chunk[..length]))),
    }
}

/// Reads on until the client has closed: a stream dropped with unread bytes is reset, and the
/// client might never see the answer (RFC 9112, section 9.6).
async fn linger(mut io: BoxIo, mut deadline: Deadline) {
    let mut scratch = [0; READ_SIZE];
    poll_fn(|cx| {
        for _ in 0..LINGER_BUDGET {
            match Pin::new(&mut io).poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return deadline.poll_passed(cx),
            }
        }
        // A client that sends without a pause keeps neither the thread nor the connection.
        cx.waker().wake_by_ref();
        deadline.poll_passed(cx)
    })
    .await;
}

async fn write(io: &mut BoxIo, bytes: &[u8]) -> Result<()> {
    io.write_all(bytes).await?;
    Ok(io.flush().await?)
}

/// Writes out a response in HTTP/1.1.
fn encode(response: &Response<impl AsRef<[u8]>>) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(response.body().as_ref());
    bytes
}
