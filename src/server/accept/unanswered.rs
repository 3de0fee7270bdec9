//! A stream from its first byte to its answer.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use futures_io::AsyncWrite;
use futures_util::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use super::linger::linger;
use crate::{
    config::WebSocketConfig,
    connection::Established,
    error::{Error, Result, TimeoutPhase},
    handshake::{Complete, Head, HeadError, Negotiated, ProtocolChoice, Rejection, RequestHead},
    io::{BoxIo, Io, boxed, poll_read_with, retry, write_all},
    message::Role,
    rt::{Deadline, Runtime, Timeout},
    server::upgrade::refusal,
    socket::WebSocket,
    sync::Exclusive,
    trace,
    tracker::{Permit, Tracker},
};

/// A request, and the bytes after it.
pub(super) type Received = Complete<Request<()>>;

/// A stream on which no answer has been written yet.
pub(super) struct Unanswered {
    io: Exclusive<BoxIo>,
    config: WebSocketConfig,
    runtime: Option<Arc<dyn Runtime>>,
    /// Of the head first, then of the answer.
    deadline: Deadline,
    /// The method of the request. An answer to HEAD has no body, only its length (RFC 9110, section
    /// 9.3.2). An answer that opens a tunnel for CONNECT has neither.
    method: Method,
}

impl Unanswered {
    /// Reads the head of a request, and refuses one that is not HTTP/1 or is late.
    pub(super) async fn read(
        io: impl Io + 'static,
        config: WebSocketConfig,
    ) -> Result<(Self, Received)> {
        let runtime = config.find_runtime(None);
        config
            .check(&ProtocolChoice::List)
            .and_then(|()| config.check_timeouts(runtime.as_ref()))
            .inspect_err(|error| trace::refused(error, None))?;
        let mut connection = Self {
            io: Exclusive::new(boxed(io)),
            deadline: Deadline::start(config.head_timeout.duration(), runtime.as_ref()),
            config,
            runtime,
            method: Method::GET,
        };
        match connection.read_head().await? {
            Ok(head) => {
                connection.method.clone_from(head.message.method());
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

    fn restart(&mut self, timeout: Timeout) {
        let runtime = self.runtime.as_ref();
        self.deadline.restart(timeout.duration(), runtime);
    }

    /// Reads up to the end of the head. The inner error is the client's fault.
    async fn read_head(&mut self) -> Result<Result<Received, HeadError>> {
        let mut head = Head::default();
        loop {
            let Some(read) = self
                .deadline
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
        self.restart(self.config.upgrade_timeout);
        let timeout = Error::Timeout(TimeoutPhase::Upgrade);
        self.deadline
            .bound(pin!(write_all(self.io.get_mut(), &bytes)))
            .await
            .map_or(Err(timeout), |written| Ok(written?))
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
        self.restart(self.config.close_timeout);
        let answer = async {
            write_all(self.io.get_mut(), &bytes).await?;
            poll_fn(|cx| retry(Pin::new(self.io.get_mut()).poll_close(cx), cx)).await?;
            Ok(())
        };
        let answered = self.deadline.bound(pin!(answer)).await;
        answered.unwrap_or(Err(Error::Timeout(TimeoutPhase::Close)))?;
        linger(self.io.into_inner(), self.deadline, self.runtime.as_ref());
        Ok(())
    }
}

/// Reads once, and appends the bytes to the head.
fn poll_head(
    io: &mut BoxIo,
    cx: &mut Context<'_>,
    head: &mut Head<RequestHead>,
) -> Poll<Result<Result<Option<Received>, HeadError>>> {
    poll_read_with(io, cx, |bytes| match bytes {
        [] => Err(Error::ClosedWithoutHandshake),
        bytes => Ok(head.push(bytes)),
    })?
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
