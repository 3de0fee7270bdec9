//! The server: its settings, its handler, and the ends that the handler may be told of.

use std::{
    io::ErrorKind,
    sync::Arc,
    time::{Duration, Instant},
};

use anyws::{
    CloseCode, Error, HeadError, Io, Message, Rejection, Runtime, TimeoutPhase, WebSocket,
    WebSocketConfig,
};

use crate::client::Talk;

/// The code of the server's Close, if it is the server that closes.
pub(crate) const SERVER_CODE: u16 = 1001;

/// The settings of all sockets here. `limit` is how long each wait for the peer may take. Nothing
/// that a test does lasts as long as a socket may be idle, or live.
pub(crate) fn config(runtime: &Arc<dyn Runtime>, limit: Duration) -> WebSocketConfig {
    support::config(runtime)
        .set_head_timeout(limit)
        .set_upgrade_timeout(limit)
        .set_close_timeout(limit)
        .set_keepalive(limit / 2, limit)
        .set_write_timeout(limit)
        .set_idle_timeout(limit * 50)
        .set_max_lifetime(limit * 100)
}

/// The call that has told of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Accept,
    Next,
    Send,
    Close,
}

/// How a connection ends, as far as the handler can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// By the peer's Close, or its answer to ours, with this code.
    Close(u16),
    /// By the end of the stream, without a Close.
    Cut,
    /// By an error of a stream whose peer is gone.
    Gone,
    /// The head of the request did not come in time.
    LateHead,
    Late(TimeoutPhase),
}

impl How {
    /// Sorts an error. The test fails with those that only a broken peer or program causes.
    fn of(error: &Error) -> Self {
        match error {
            Error::ClosedWithoutHandshake => Self::Cut,
            Error::Io(io) if io.kind() != ErrorKind::TimedOut && error.is_disconnect() => {
                Self::Gone
            }
            Error::Rejected(Rejection::Head(HeadError::Timeout)) => Self::LateHead,
            Error::Timeout(phase) => Self::Late(*phase),
            error => panic!("this peer does not cause {error:?}"),
        }
    }
}

/// What the handler has seen.
#[derive(Debug)]
pub(crate) struct Served {
    /// The first sign of the end.
    pub(crate) end: (Call, How),
    /// Messages that were received before it.
    pub(crate) messages: usize,
    /// When the handler was told.
    pub(crate) at: Instant,
}

impl Served {
    fn new(call: Call, how: How, messages: usize) -> Self {
        Self {
            end: (call, how),
            messages,
            at: Instant::now(),
        }
    }
}

/// Accepts a connection, has its part of the talk, and drops the socket after the end.
pub(crate) async fn serve(
    io: impl Io + 'static,
    runtime: &Arc<dyn Runtime>,
    limit: Duration,
    talk: &Talk,
) -> Served {
    let mut socket = match anyws::accept(io, config(runtime, limit)).await {
        Ok(socket) => socket,
        Err(error) => return Served::new(Call::Accept, How::of(&error), 0),
    };
    let (message, reply) = (talk.message(), talk.reply());
    let mut messages = 0;
    let served = loop {
        if talk.server_closes && messages == talk.messages {
            let how = close(&mut socket).await;
            break Served::new(Call::Close, how, messages);
        }
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => {
                assert!(bytes == message, "a message was torn");
                messages += 1;
            }
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map_or(1005, |frame| frame.code.into());
                break Served::new(Call::Next, How::Close(code), messages);
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(other)) => panic!("nobody sends this: {other:?}"),
            Some(Err(error)) => break Served::new(Call::Next, How::of(&error), messages),
            None => panic!("no end comes before `None`"),
        }
        if let Err(error) = socket.send(reply.clone().into()).await {
            break Served::new(Call::Send, How::of(&error), messages);
        }
    };
    assert_is_over(&mut socket, served.end).await;
    served
}

/// Closes with [`SERVER_CODE`].
async fn close(socket: &mut WebSocket) -> How {
    match socket.close((CloseCode::from(SERVER_CODE), "enough")).await {
        Ok(()) => {
            let frame = socket.close_frame().expect("an answer repeats the code");
            How::Close(frame.code.into())
        }
        Err(error) => How::of(&error),
    }
}

/// Receives what is left, up to `None`. `next` tells of one end at most, and of none if it has told
/// already. Messages and errors only follow a write that failed.
async fn assert_is_over(socket: &mut WebSocket, (call, how): (Call, How)) {
    let mut ends = usize::from(call == Call::Next);
    while let Some(item) = socket.next().await {
        // The payload of a message would fill the screen.
        let length = item.as_ref().map(Message::len);
        assert_eq!(ends, 0, "something comes after the end: {length:?}");
        match item {
            Ok(Message::Binary(_)) if (call, how) == (Call::Send, How::Gone) => {}
            Err(_) if (call, how) == (Call::Send, How::Gone) => ends += 1,
            Ok(Message::Close(_)) => ends += 1,
            _ => panic!("{length:?} comes after {how:?} of {call:?}"),
        }
    }
    assert!(socket.next().await.is_none(), "`None` is the last item");
}
