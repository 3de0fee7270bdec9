//! A stream from its first byte to its answer.

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};
use futures_util::FutureExt;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::linger::linger;
use crate::{
    config::WebSocketConfig,
    connection::Established,
    error::{Error, Result, TimeoutPhase},
    handshake::{Complete, Head, HeadError, Negotiated, ProtocolChoice, Rejection},
    io::{BoxIo, Io, boxed, overrun, retry},
    message::Role,
    rt::{Deadline, Runtime, Timeout},
    server::upgrade::refusal,
    socket::WebSocket,
    sync::Exclusive,
    trace,
    tracker::{Permit, Tracker},
};

/// How many bytes one read requests while the head arrives: one page holds nearly every head.
const READ_SIZE: usize = 4096;

/// A stream on which no answer has been written yet.
pub(super) struct Unanswered {
    io: Exclusive<BoxIo>,
    config: WebSocketConfig,
    runtime: Option<Arc<dyn Runtime>>,
    /// The method of the request. An answer to HEAD has no body, only its length (RFC 9110, section
    /// 9.3.2). An answer that opens a tunnel for CONNECT has neither.
    method: Method,
}

impl Unanswered {
    /// Reads the head of a request, and refuses one that is not HTTP/1 or is late.
    pub(super) async fn read(
        io: impl Io + 'static,
        config: WebSocketConfig,
    ) -> Result<(Self, Complete)> {
        let runtime = config.find_runtime(None);
        config
            .check(&ProtocolChoice::List)
            .and_then(|()| config.check_timeouts(runtime.as_ref()))
            .inspect_err(|error| trace::refused(error, None))?;
        let mut connection = Self {
            io: Exclusive::new(boxed(io)),
            config,
            runtime,
            method: Method::GET,
        };
        match connection.read_head().await? {
            Ok(head) => {
                connection.method.clone_from(head.request.method());
                Ok((connection, head))
            }
            Err(error) => Err(connection.refuse(Rejection::Head(error)).await),
        }
    }

    pub(super) fn config(&self) -> &WebSocketConfig {
        &self.config
    }

    /// Replaces the tracker of the settings: it is told of a refusal.
    pub(super) fn set_tracker(&mut self, tracker: Tracker) {
        self.config.tracker = Some(tracker);
    }

    /// Starts the socket after the answer that switches protocols.
    pub(super) fn into_socket(
        self,
        read_ahead: Vec<u8>,
        negotiated: &Negotiated,
        permit: Option<Permit>,
    ) -> WebSocket {
        let Self {
            io,
            config,
            runtime,
            ..
        } = self;
        WebSocket::new(Established {
            label: None,
            io: io.into_inner(),
            read_ahead,
            role: Role::Server,
            protocol: negotiated.protocol(),
            compression: negotiated.compression(),
            config: &config,
            runtime,
            permit,
        })
    }

    fn deadline(&self, timeout: Timeout) -> Deadline {
        Deadline::start(timeout.duration(), self.runtime.as_ref())
    }

    /// Reads up to the end of the head. The inner error is the client's fault.
    async fn read_head(&mut self) -> Result<Result<Complete, HeadError>> {
        let mut deadline = self.deadline(self.config.head_timeout);
        let mut head = Head::default();
        loop {
            let Some(read) = deadline
                .bound(poll_fn(|cx| poll_head(self.io.get_mut(), cx, &mut head)))
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
    pub(super) async fn switch(&mut self, response: &Response<&[u8]>) -> Result<()> {
        let bytes = encode(response);
        let mut deadline = self.deadline(self.config.upgrade_timeout);
        let timeout = Error::Timeout(TimeoutPhase::Upgrade);
        deadline
            .bound(pin!(write(self.io.get_mut(), &bytes)))
            .await
            .unwrap_or(Err(timeout))
    }

    /// Refuses the client: with its rejection, or with 500 if the server is at fault.
    pub(super) fn refuse(self, error: impl Into<Error>) -> impl Future<Output = Error> {
        let error = error.into();
        let refusal = self.refusal(&error);
        // The caller needs `error`. An error of writing the answer only means that the client has
        // left. No `async` block: it would hold the answer twice.
        self.finish(refusal).map(|_| error)
    }

    /// Returns the answer to a client that is refused, and reports it.
    fn refusal(&self, error: &Error) -> Response<String> {
        if let (Some(tracker), Error::Rejected(rejection)) = (&self.config.tracker, error) {
            tracker.refused(rejection);
        }
        let response = refusal(error, |reason| reason);
        trace::refused(error, Some(response.status()));
        response
    }

    /// Answers with the user's response and closes the stream.
    pub(super) async fn respond(self, response: Response<impl AsRef<[u8]>>) -> Result<()> {
        assert!(
            !response.status().is_informational(),
            "an answer that ends the connection has a final status"
        );
        self.finish(response).await
    }

    /// Writes the only answer and closes the stream.
    async fn finish(mut self, mut response: Response<impl AsRef<[u8]>>) -> Result<()> {
        let length = response.body().as_ref().len();
        response.headers_mut().remove(header::TRANSFER_ENCODING);
        // RFC 9110, sections 8.6 and 15.4.5: a 204 and a 304 have no body. A 204 and an answer that
        // opens a tunnel have no length either.
        let status = response.status();
        let is_bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || (self.method == Method::CONNECT && status.is_success());
        if is_bodiless {
            response.headers_mut().remove(header::CONTENT_LENGTH);
        } else {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let headers = response.headers_mut();
        let mut connection = headers.get_all(header::CONNECTION).iter();
        if !connection.any(|value| value == "close") {
            headers.append(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let mut bytes = encode(&response);
        if self.method == Method::HEAD || is_bodiless {
            bytes.truncate(bytes.len() - length);
        }
        let mut deadline = self.deadline(self.config.close_timeout);
        let answer = async {
            write(self.io.get_mut(), &bytes).await?;
            poll_fn(|cx| retry(Pin::new(self.io.get_mut()).poll_close(cx), cx)).await?;
            Ok(())
        };
        let answered = deadline.bound(pin!(answer)).await;
        answered.unwrap_or(Err(Error::Timeout(TimeoutPhase::Close)))?;
        linger(self.io.into_inner(), deadline, self.runtime.as_ref());
        Ok(())
    }
}

/// Reads once, and appends the bytes to the head.
///
/// The chunk is on the stack of a poll. The socket's handler runs in the same task, so in the
/// future the chunk would cost each socket that memory for its whole life.
fn poll_head(
    io: &mut BoxIo,
    cx: &mut Context<'_>,
    head: &mut Head,
) -> Poll<Result<Result<Option<Complete>, HeadError>>> {
    let mut chunk = [0; READ_SIZE];
    let length = ready!(retry(Pin::new(io).poll_read(cx, &mut chunk), cx))?;
    Poll::Ready(match chunk.get(..length) {
        Some([]) => Err(Error::ClosedWithoutHandshake),
        Some(bytes) => Ok(head.push(bytes)),
        None => Err(overrun().into()),
    })
}

/// Writes all of `bytes` and flushes.
async fn write(io: &mut BoxIo, mut bytes: &[u8]) -> Result<()> {
    poll_fn(|cx| {
        while !bytes.is_empty() {
            let written = ready!(retry(Pin::new(&mut *io).poll_write(cx, bytes), cx))?;
            bytes = match bytes.get(written..) {
                Some(_) if written == 0 => {
                    return Poll::Ready(Err(io::Error::from(ErrorKind::WriteZero).into()));
                }
                Some(rest) => rest,
                None => return Poll::Ready(Err(overrun().into())),
            };
        }
        retry(Pin::new(&mut *io).poll_flush(cx), cx).map_err(Error::Io)
    })
    .await
}

/// Encodes a response as HTTP/1.1.
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
