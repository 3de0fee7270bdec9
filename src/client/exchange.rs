//! The request and its answer, over a stream.

use std::{
    future::poll_fn,
    io,
    pin::pin,
    task::{Context, Poll, ready},
};

use http::{Response, StatusCode};

use super::step::step;
use crate::{
    error::{Error, Result, TimeoutPhase},
    handshake::{Complete, HandshakeError, Head, HeadError, ResponseHead, client::Body},
    io::{BoxIo, poll_read_with, poll_write_all},
    message::Bytes,
    rt::Deadline,
};

/// How many interim responses may come before the answer. 102 and 103 come once or twice.
const MAX_INTERIM: usize = 8;

/// What a head is after more bytes.
type Pushed = std::result::Result<Option<Answer>, HeadError>;

/// An answer, and the bytes after it.
pub(super) type Answer = Complete<Response<()>>;

/// Sends a request, and returns the answer if it is a 101.
pub(super) async fn exchange(
    stream: &mut BoxIo,
    request: &[u8],
    deadline: &mut Deadline,
) -> Result<Answer> {
    let answering = answer_to(request, stream);
    let answer = step(TimeoutPhase::Handshake, deadline, pin!(answering)).await?;
    if answer.message.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer);
    }
    let mut body = Body::new(&answer.message);
    body.push(&answer.read_ahead);
    // The status is worth more than the rest of the body: whatever ends that is no error.
    let _ = deadline.bound(pin!(read_body(stream, &mut body))).await;
    let body = Bytes::from(body.into_bytes());
    let response = answer.message.map(|()| body);
    Err(Error::UnexpectedResponse(Box::new(response)))
}

/// Sends a request, and reads up to the end of the head of its answer.
async fn answer_to(request: &[u8], stream: &mut BoxIo) -> Result<Answer> {
    let mut sending = Sending::Unsent(request);
    let answer = read_answer(stream, &mut sending).await?;
    if answer.message.status() == StatusCode::SWITCHING_PROTOCOLS {
        poll_fn(|cx| sending.poll_end(stream, cx)).await?;
    }
    Ok(answer)
}

/// A request, which is sent while the answer is read: a server may refuse a request before it has
/// read all of it, and close the connection (RFC 9112, section 9.5).
enum Sending<'a> {
    Unsent(&'a [u8]),
    Sent,
    Failed(io::Error),
}

impl Sending<'_> {
    /// Sends as much as the stream takes.
    fn advance(&mut self, stream: &mut BoxIo, cx: &mut Context<'_>) {
        let Self::Unsent(rest) = self else { return };
        if let Poll::Ready(sent) = poll_write_all(stream, cx, rest) {
            *self = sent.map_or_else(Self::Failed, |()| Self::Sent);
        }
    }

    /// Returns the error if sending has failed.
    fn take_error(&mut self) -> Option<io::Error> {
        match std::mem::replace(self, Self::Sent) {
            Self::Failed(error) => Some(error),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Sends the rest.
    fn poll_end(&mut self, stream: &mut BoxIo, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.advance(stream, cx);
        match self {
            Self::Unsent(_) => Poll::Pending,
            _ => Poll::Ready(self.take_error().map_or(Ok(()), Err)),
        }
    }
}

/// Reads up to the end of the head of the answer, past interim responses.
async fn read_answer(stream: &mut BoxIo, sending: &mut Sending<'_>) -> Result<Answer> {
    let mut read = Vec::new();
    for _ in 0..=MAX_INTERIM {
        let answer = read_head(stream, sending, read).await?;
        let status = answer.message.status();
        if status == StatusCode::SWITCHING_PROTOCOLS || !status.is_informational() {
            return Ok(answer);
        }
        read = answer.read_ahead;
    }
    Err(HandshakeError::TooManyInterim.into())
}

/// Reads a head, which starts with the bytes that were `read` already.
async fn read_head(stream: &mut BoxIo, sending: &mut Sending<'_>, read: Vec<u8>) -> Result<Answer> {
    let mut head = Head::<ResponseHead>::default();
    let mut pushed = head.push(&read);
    loop {
        match pushed.map_err(HandshakeError::Head)? {
            Some(answer) => return Ok(answer),
            None => pushed = poll_fn(|cx| poll_push(stream, sending, cx, &mut head)).await?,
        }
    }
}

/// Reads once, and appends the bytes to the head.
fn poll_push(
    stream: &mut BoxIo,
    sending: &mut Sending<'_>,
    cx: &mut Context<'_>,
    head: &mut Head<ResponseHead>,
) -> Poll<Result<Pushed>> {
    sending.advance(stream, cx);
    let read = poll_read_with(stream, cx, |bytes| match bytes {
        [] => None,
        bytes => Some(head.push(bytes)),
    });
    if let Poll::Ready(Ok(Some(pushed))) = read {
        return Poll::Ready(Ok(pushed));
    }
    // Once sending has failed, only what has arrived before counts.
    if let Some(error) = sending.take_error() {
        return Poll::Ready(Err(error.into()));
    }
    ready!(read)?;
    Poll::Ready(Err(HandshakeError::Ended.into()))
}

/// Reads as much of a body as is wanted.
async fn read_body(stream: &mut BoxIo, body: &mut Body) -> Result<()> {
    while !body.is_complete() {
        let is_end = poll_fn(|cx| {
            poll_read_with(stream, cx, |bytes| {
                body.push(bytes);
                bytes.is_empty()
            })
        });
        if is_end.await? {
            break;
        }
    }
    Ok(())
}
