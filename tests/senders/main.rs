//! Senders: their order, their bounds, who waits, who is woken, and every end of a socket.

use std::sync::Arc;

use anyws::{Message, QueueConfig, Runtime, WebSocket, WhenFull};
use support::{
    frames::{Peer, Role},
    room::{Narrow, Room},
    sockets::{now, with_limits},
};

mod bounds;
mod control;
mod drains;
mod ends;
mod halves;
mod memory;
mod order;
mod prepared;
mod threads;
mod waiting;

/// What a message counts besides its payload.
const OVERHEAD: usize = 64;

/// The length of the frame of a server's text message of one byte.
const FRAME: usize = 3;

fn bounds(messages: usize, when_full: WhenFull) -> QueueConfig {
    QueueConfig::default()
        .messages(messages)
        .when_full(when_full)
}

/// A server's socket that buffers one message, on a stream that takes what a test gives it room
/// for.
fn narrow(runtime: &Arc<dyn Runtime>) -> (WebSocket, Room) {
    let (io, room) = Narrow::new(usize::MAX);
    let config = with_limits(runtime, |limits| {
        limits.write_buffer_size(0).max_write_buffer_size(1)
    });
    (Role::Server.socket(io, &config), room)
}

/// Lets a socket do what it can, without a message for it.
fn turn(socket: &mut WebSocket) {
    support::sockets::assert_waits(socket);
}

/// Reads texts that have arrived.
fn texts(peer: &mut Peer, count: usize) -> Vec<String> {
    let text = |_| {
        let frame = now(peer.frame()).expect("the stream is open");
        String::from_utf8(frame.payload).unwrap()
    };
    (0..count).map(text).collect()
}

/// A text of a length.
fn text_of(length: usize) -> Message {
    Message::text("x".repeat(length))
}
