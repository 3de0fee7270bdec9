//! What a socket holds of messages that were written, or never will be: nothing.
//!
//! Memory is counted by an allocator, on the thread of the test.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use allocation_counter::{AllocationInfo, measure};
use anyws::{Bytes, Error, Message, TransportConfig, WebSocket, WebSocketConfig};
use futures::{FutureExt, executor::block_on};
use support::{
    attack::{Attack, Then, alone, drive},
    frames::{BINARY, Frame, Role},
    room::Narrow,
    threads::ThreadRuntime,
};

const KIB: usize = 1024;

/// Numbers of messages and their lengths: small ones, ones that are not copied, and a large one.
const SHAPES: [(usize, usize); 3] = [(5_000, 10), (1_000, 5 * KIB), (1, 1024 * KIB)];

/// Settings with which nothing is written before a flush.
fn until_flushed() -> WebSocketConfig {
    let transport = TransportConfig::default()
        .write_buffer_size(usize::MAX - 1)
        .max_write_buffer_size(usize::MAX);
    alone().set_transport(transport)
}

fn feed(socket: &mut WebSocket, (count, length): (usize, usize)) {
    for _ in 0..count {
        block_on(socket.feed(Message::binary(vec![7; length]))).unwrap();
    }
}

/// Feeds messages, runs `end`, and counts the memory that the socket still holds. The first runs
/// fill the buffers that the thread keeps for all its sockets, of which there are eight.
fn held(
    socket: impl Fn() -> WebSocket,
    shape: (usize, usize),
    end: impl Fn(&mut WebSocket),
) -> AllocationInfo {
    let run = || {
        let mut socket = socket();
        let memory = measure(|| {
            feed(&mut socket, shape);
            end(&mut socket);
        });
        (socket, memory)
    };
    (0..8).for_each(|_| drop(run()));
    let (_socket, memory) = run();
    memory
}

#[track_caller]
fn assert_at_most(bytes: impl TryInto<i128>, most: usize, what: &str) {
    let (bytes, most) = (bytes.try_into().ok().unwrap(), most as i128);
    assert!(
        bytes <= most,
        "{bytes} bytes {what}, and not {most} at most"
    );
}

/// A socket whose queue is never empty holds no more than what waits in it.
#[test]
fn what_was_written_is_not_held_while_more_waits() {
    const LENGTH: usize = 1000;
    const WAITS: usize = 10;
    static PAYLOAD: [u8; LENGTH] = [7; LENGTH];
    let transport = TransportConfig::default().write_buffer_size(0);
    for role in Role::BOTH {
        let frame = LENGTH + if role == Role::Client { 8 } else { 4 };
        let (stream, room) = Narrow::new(usize::MAX);
        let mut socket = role.socket(stream, &alone().set_transport(transport));
        let mut feed = || {
            let message = Message::binary(Bytes::from_static(&PAYLOAD));
            block_on(socket.feed(message)).unwrap();
        };
        (0..WAITS).for_each(|_| feed());
        let memory = measure(|| {
            for _ in 0..10_000 {
                room.give(frame);
                feed();
                assert_eq!(room.left(), 0, "a frame was written");
            }
        });
        // What waits is 10 KB, and 10 MB were written.
        assert_at_most(memory.bytes_max, 256 * KIB, "were held");
    }
}

#[test]
fn a_socket_that_has_written_all_holds_nothing_of_it() {
    for role in Role::BOTH {
        for shape in SHAPES {
            let socket = || role.socket(Attack::new("", Then::Wait), &until_flushed());
            let memory = held(socket, shape, |socket| {
                let flushed = drive(socket.flush(), || true);
                flushed.expect("the stream takes all").unwrap();
            });
            assert_at_most(memory.bytes_current, KIB, &format!("are held of {shape:?}"));
        }
    }
}

#[test]
fn a_socket_whose_stream_has_failed_holds_nothing_of_what_was_buffered() {
    for role in Role::BOTH {
        for shape in SHAPES {
            let fail = Then::Fail(ErrorKind::BrokenPipe);
            let socket = || role.socket(Attack::new("", fail.clone()), &until_flushed());
            let memory = held(socket, shape, |socket| {
                let flushed = block_on(socket.flush());
                assert!(matches!(flushed, Err(Error::Io(_))), "{flushed:?}");
            });
            assert_at_most(memory.bytes_current, KIB, &format!("are held of {shape:?}"));
        }
    }
}

/// Neither of what was buffered, nor of a message that has come in part.
#[test]
fn an_aborted_socket_holds_nothing() {
    for role in Role::BOTH {
        for shape in SHAPES {
            let part = &Frame::new(BINARY, vec![7; 200 * KIB]).bytes(role.other())[..100 * KIB];
            let socket = || {
                let stream = Attack::new(Bytes::copy_from_slice(part), Then::Wait).takes(0);
                role.socket(stream, &until_flushed())
            };
            let memory = held(socket, shape, |socket| {
                assert!(socket.next().now_or_never().is_none(), "the message is cut");
                socket.abort();
            });
            assert_at_most(memory.bytes_current, KIB, &format!("are held of {shape:?}"));
        }
    }
}

#[test]
fn a_socket_whose_close_has_timed_out_holds_nothing_of_what_was_buffered() {
    let config = until_flushed()
        .set_runtime(Arc::new(ThreadRuntime))
        .set_close_timeout(Duration::from_millis(20));
    for role in Role::BOTH {
        for shape in SHAPES {
            let socket = || role.socket(Attack::new("", Then::Wait).takes(0), &config);
            let memory = held(socket, shape, |socket| {
                let closed = block_on(socket.close(None));
                assert!(matches!(closed, Err(Error::Timeout(_))), "{closed:?}");
            });
            assert_at_most(memory.bytes_current, KIB, &format!("are held of {shape:?}"));
        }
    }
}
