//! The request and its answer, over a stream.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, ready},
};

use http::{Response, StatusCode};

use crate::{
    error::{Error, Result, TimeoutPhase},
    handshake::{Complete, HandshakeError, Head, HeadError, ResponseHead, client::Body},
    io::{BoxIo, poll_read_with, write_all},
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
    let answering = async {
        write_all(stream, request).await?;
        read_answer(stream).await
    };
    let answer = deadline.bound(pin!(answering)).await;
    let answer = answer.unwrap_or(Err(Error::Timeout(TimeoutPhase::Handshake)))?;
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

/// Reads up to the end of the head of the answer, past interim responses.
async fn read_answer(stream: &mut BoxIo) -> Result<Answer> {
    let mut read = Vec::new();
    for _ in 0..=MAX_INTERIM {
        let answer = read_head(stream, read).await?;
        let status = answer.message.status();
        if status == StatusCode::SWITCHING_PROTOCOLS || !status.is_informational() {
            return Ok(answer);
        }
        read = answer.read_ahead;
    }
    Err(HandshakeError::TooManyInterim.into())
}

/// Reads a head, which starts with the bytes that were `read` already.
async fn read_head(stream: &mut BoxIo, read: Vec<u8>) -> Result<Answer> {
    let mut head = Head::<ResponseHead>::default();
    let mut pushed = head.push(&read);
    loop {
        match pushed.map_err(HandshakeError::Head)? {
            Some(answer) => return Ok(answer),
            None => pushed = poll_fn(|cx| poll_push(stream, cx, &mut head)).await?,
        }
    }
}

/// Reads once, and appends the bytes to the head.
fn poll_push(
    stream: &mut BoxIo,
    cx: &mut Context<'_>,
    head: &mut Head<ResponseHead>,
) -> Poll<Result<Pushed>> {
    let read = ready!(poll_read_with(stream, cx, |bytes| match bytes {
        [] => Err(HandshakeError::Ended),
        bytes => Ok(head.push(bytes)),
    }))?;
    Poll::Ready(Ok(read?))
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
