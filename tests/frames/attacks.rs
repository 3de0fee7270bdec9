//! Regression tests for the advisories on frames, one for each class; the classes are in
//! conformance/RULES.md. What a socket holds is counted by an allocator: where memory grows by
//! being moved it counts the old place and the new one.
//!
//! All of it is for both roles: a client has its enemies too.
// What a computation costs is what Linux tells.

use std::{io::ErrorKind, time::Duration};

use allocation_counter::{AllocationInfo, measure};
use anyws::{Bytes, CloseCode, Error, Message, TransportConfig, WebSocket, WebSocketConfig};
use futures::{FutureExt, StreamExt, executor::block_on};
use support::{
    attack::{Attack, Then, alone, alone_and_patient, drive},
    cost::cost,
    frames::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, Role, TEXT},
    raw::header,
    runtimes,
    sockets::{assert_waits, close_frame, received},
};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The fragments that a message may have.
const MAX_FRAGMENTS: usize = 131_072;

/// What a socket stages before senders wait.
const WATERMARK: usize = 128 * KIB;

/// What is read at once at most: an attacker is cut off where its frame is wrong, and what came
/// behind that frame in the same read was read.
const BLOCK: usize = 64 * KIB;

fn with_limits(set: impl FnOnce(TransportConfig) -> TransportConfig) -> WebSocketConfig {
    alone().set_transport(set(TransportConfig::default()))
}

fn without_limits() -> WebSocketConfig {
    with_limits(|limits| limits.max_frame_size(None).max_message_size(None))
}

/// A frame of which others of its message follow, as a peer of `role` gets it.
fn fragment(role: Role, opcode: u8, payload: impl Into<Vec<u8>>) -> Vec<u8> {
    Frame::new(opcode, payload).unfinished().bytes(role.other())
}

fn frame(role: Role, opcode: u8, payload: impl Into<Vec<u8>>) -> Vec<u8> {
    Frame::new(opcode, payload).bytes(role.other())
}

/// Frames for ever: many in one piece of memory, as the attacker is to cost little.
fn again(frame: &[u8]) -> Then {
    Then::Again(frame.repeat(1 + BLOCK / frame.len()).into())
}

/// Counts what `work` allocates, once this thread has what all its connections share.
fn counted(work: impl FnOnce()) -> AllocationInfo {
    for role in Role::BOTH {
        let echoed = frame(role, BINARY, [7; 100]);
        let mut socket = role.socket(Attack::new(echoed, Then::Wait), &alone());
        echo_all(&mut socket);
    }
    measure(work)
}

/// Sends the messages back that have arrived, and waits for the next one.
fn echo_all(socket: &mut WebSocket) {
    let end = drive(
        async {
            while let Some(message) = socket.next().await {
                socket.send(message.unwrap()).await.unwrap();
            }
        },
        || true,
    );
    assert_eq!(end, None, "the peer waits, too");
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
        if !message.is_close() && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// Takes messages as long as there are any, and returns the error.
async fn read_to_the_error(socket: &mut WebSocket) -> Error {
    loop {
        if let Err(error) = socket.next().await.expect("an error comes before the end") {
            return error;
        }
    }
}

/// Demands that a socket comes to fail with `code`.
fn assert_fails(socket: &mut WebSocket, code: u16) {
    let mut turns = 0;
    let error = drive(read_to_the_error(socket), || {
        turns += 1;
        // Many more than an attack takes that is seen.
        turns < 10_000
    });
    match error.expect("it fails in time") {
        Error::Protocol(error) => assert_eq!(error.close_code(), CloseCode::from(code), "{error}"),
        other => panic!("{other:?}"),
    }
}

fn assert_at_most(number: impl TryInto<usize>, most: usize, what: &str) {
    let number = number.try_into().ok().expect("it is a size");
    assert!(number <= most, "{number} {what}, and not {most} at most");
}

/// Bandit CVE-2026-42786: continuations each below the frame limit.
#[test]
fn endless_fragments() {
    const LIMIT: usize = MIB;
    let config = with_limits(|limits| limits.max_message_size(LIMIT));
    for role in Role::BOTH {
        for opcode in [TEXT, BINARY] {
            let next = fragment(role, CONTINUATION, [b'x'; 16 * KIB]);
            let attack = Attack::new(fragment(role, opcode, "x"), again(&next));
            let log = attack.log();
            let mut socket = role.socket(attack, &config);
            let memory = counted(|| assert_fails(&mut socket, 1009));
            assert_at_most(log.read(), LIMIT + 2 * BLOCK, "bytes were read");
            // Room is doubled when it is too small, up to twice the limit, and moved.
            assert_at_most(memory.bytes_max, 3 * LIMIT + BLOCK, "bytes were held");
        }
    }
}

/// The same: there is no more room for an unfinished message than one may have.
#[test]
fn endless_fragments_get_no_room_beyond_the_limit() {
    // What was doubled again and again is above half of it at some time.
    const LIMIT: usize = 700 * KIB;
    let config = with_limits(|limits| limits.max_message_size(LIMIT));
    for role in Role::BOTH {
        for opcode in [TEXT, BINARY] {
            let next = fragment(role, CONTINUATION, [b'x'; KIB]).repeat(699);
            let start = fragment(role, opcode, "x");
            let attack = Attack::new([start, next].concat(), Then::Wait);
            let mut socket = role.socket(attack, &config);
            let memory = counted(|| assert!(drive(socket.next(), || true).is_none()));
            assert_at_most(memory.bytes_current, LIMIT + 64 * KIB, "bytes are held");
        }
    }
}

/// ws CVE-2026-48779: a million empty continuations, or such of one byte.
#[test]
fn fragment_count() {
    for role in Role::BOTH {
        for (opcode, payload, most) in [
            (TEXT, "", 4 * KIB),
            (BINARY, "", 4 * KIB),
            (TEXT, "x", 4 * MAX_FRAGMENTS),
            (BINARY, "x", 4 * MAX_FRAGMENTS),
        ] {
            let next = fragment(role, CONTINUATION, payload);
            let attack = Attack::new(fragment(role, opcode, payload), again(&next));
            let log = attack.log();
            let mut socket = role.socket(attack, &alone());
            let memory = counted(|| assert_fails(&mut socket, 1008));
            let fragments = log.read() / next.len();
            assert!(fragments > MAX_FRAGMENTS, "{fragments}");
            assert_at_most(
                fragments,
                MAX_FRAGMENTS + BLOCK / next.len() + 1,
                "were read",
            );
            assert_at_most(memory.bytes_max, most, "bytes were held");
        }
    }
}

/// rust-websocket CVE-2022-35922: 2^40 in the header; and lengths that are within the limits.
#[test]
fn allocation_by_announced_length() {
    for role in Role::BOTH {
        for first in [TEXT, FIN | TEXT, BINARY, FIN | BINARY] {
            for (config, length) in [
                (alone(), 16 * MIB as u64),
                (without_limits(), 1 << 40),
                (without_limits(), 1 << 62),
            ] {
                let mut bytes = header(first, length, role.other().masks());
                bytes.extend(frame(role, BINARY, *b"a few more").split_off(bytes.len().min(6)));
                let mut socket = role.socket(Attack::new(bytes, Then::Wait), &config);
                let memory = counted(|| assert_waits(&mut socket));
                assert_at_most(memory.bytes_max, KIB, "bytes were held for a few");
            }
            let bytes = header(first, 1 << 40, role.other().masks());
            let mut socket = role.socket(Attack::new(bytes, Then::Wait), &alone());
            let memory = counted(|| assert_fails(&mut socket, 1009));
            assert_at_most(memory.bytes_max, KIB, "bytes were held for none");
        }
    }
}

/// The same: what is held follows what has arrived, however much was announced.
#[test]
fn allocation_by_announced_length_grows_with_what_arrives() {
    for role in Role::BOTH {
        for first in [TEXT, FIN | TEXT, BINARY, FIN | BINARY] {
            for arrived in [1000, 100_000, 1_000_000] {
                let mut bytes = header(first, 16 * MIB as u64, role.other().masks());
                // Masked zeros are no text, and this is one.
                let key = bytes.split_off(if role == Role::Server {
                    10
                } else {
                    bytes.len()
                });
                let mut payload = vec![b'x'; arrived];
                for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
                    *byte ^= key;
                }
                let bytes = [bytes, key, payload].concat();
                let mut socket = role.socket(Attack::new(bytes, Then::Wait), &alone());
                let memory = counted(|| assert_waits(&mut socket));
                assert_at_most(memory.bytes_max, 3 * arrived + KIB, "bytes were held");
            }
        }
    }
}

/// ws RUSTSEC-2020-0043: pings to a socket whose peer never reads.
#[test]
fn unbounded_output_of_pongs() {
    for role in Role::BOTH {
        // A ping counts at least 1 byte.
        for (payload, most) in [(0, WATERMARK), (1, WATERMARK), (125, WATERMARK / 125 + 1)] {
            let ping = frame(role, PING, vec![7; payload]);
            let attack = Attack::new(Bytes::new(), again(&ping)).takes(0);
            let log = attack.log();
            let mut socket = role.socket(attack, &alone());
            let most = most * ping.len() + 2 * BLOCK;
            let memory = counted(|| {
                let end = drive(read_to_the_error(&mut socket), || log.read() <= most);
                assert!(end.is_none(), "{end:?}");
            });
            assert_at_most(log.read(), most, "bytes were read");
            // What was read, what is left of it, and the pongs: 4 KiB, in a buffer that has
            // doubled.
            assert_at_most(memory.bytes_max, 2 * BLOCK + 12 * 1024, "bytes were held");
        }
    }
}

/// undici CVE-2026-109932: an echo to a peer that never reads.
#[test]
fn unbounded_output_of_an_echo() {
    async fn feed(mut socket: WebSocket) {
        while let Some(Ok(message)) = socket.next().await {
            socket.feed(message).await.unwrap();
        }
    }
    async fn forward(socket: WebSocket) {
        let (sender, receiver) = socket.split();
        receiver.forward(sender).await.unwrap();
    }
    for role in Role::BOTH {
        for length in [10, 1000, 10_000] {
            for handler in 0..3 {
                let message = frame(role, BINARY, vec![7; length]);
                let attack = Attack::new(Bytes::new(), again(&message)).takes(0);
                let log = attack.log();
                let socket = role.socket(attack, &alone());
                let most = WATERMARK + length + 2 * BLOCK;
                let memory = counted(|| {
                    let is_paused = || log.read() <= most;
                    let end = match handler {
                        0 => drive(echo(socket), is_paused),
                        1 => drive(feed(socket), is_paused),
                        _ => drive(forward(socket), is_paused),
                    };
                    assert_eq!(end, None, "it waits for its peer");
                });
                assert_at_most(log.read(), most, "bytes were read");
                assert_at_most(memory.bytes_max, 3 * most, "bytes were held");
            }
        }
    }
}

/// gorilla CVE-2020-27813, Tomcat CVE-2020-13935: lengths around 2^63, alone and behind a small
/// fragment.
#[test]
fn length_overflow() {
    const HALF: u64 = 1 << 63;
    for role in Role::BOTH {
        for (first, before) in [
            (FIN | BINARY, vec![]),
            (TEXT, vec![]),
            (FIN | CONTINUATION, fragment(role, BINARY, "small")),
            (CONTINUATION, fragment(role, TEXT, "small")),
        ] {
            for (config, length, code) in [
                (alone(), HALF - 1, Some(1009)),
                (alone(), HALF, Some(1002)),
                (alone(), u64::MAX, Some(1002)),
                // Alone it fits in memory, if only in theory; behind a fragment it does not.
                (
                    without_limits(),
                    HALF - 1,
                    (!before.is_empty()).then_some(1009),
                ),
                (without_limits(), HALF - 6, None),
                (without_limits(), HALF, Some(1002)),
                (without_limits(), u64::MAX, Some(1002)),
            ] {
                let header = header(first, length, role.other().masks());
                let attack = Attack::new([before.clone(), header].concat(), Then::Wait);
                let mut socket = role.socket(attack, &config);
                let memory = counted(|| match (code, socket.next().now_or_never()) {
                    (Some(code), Some(Some(Err(Error::Protocol(error))))) => {
                        assert_eq!(error.close_code(), CloseCode::from(code));
                    }
                    // What was announced may still come.
                    (None, None) => {}
                    (_, item) => panic!("{length:x}: {item:?} and not {code:?}"),
                });
                assert_at_most(memory.bytes_max, KIB, "bytes were held");
            }
        }
    }
}

/// Eight times the frames, or the pieces, cost about eight times as much; were it looked through
/// anew for each of them, it would be sixty-four times.
#[test]
fn superlinear_parsing() {
    type Shape = fn(usize) -> Attack;
    let shapes: [(&str, Shape); 7] = [
        ("messages", |n| {
            let bytes = frame(Role::Server, TEXT, "x").repeat(n);
            Attack::new(bytes, Then::End)
        }),
        ("fragments", |n| {
            let bytes = fragment(Role::Server, CONTINUATION, "x").repeat(n);
            let start = fragment(Role::Server, TEXT, "x");
            Attack::new([start, bytes].concat(), Then::End)
        }),
        ("fragments of a character", |n| {
            let cut = "🦀".as_bytes().iter();
            let cut = cut.flat_map(|byte| fragment(Role::Server, CONTINUATION, [*byte]));
            let bytes = cut.collect::<Vec<_>>().repeat(n / 4);
            let start = fragment(Role::Server, TEXT, "");
            Attack::new([start, bytes].concat(), Then::End)
        }),
        ("pings", |n| {
            let bytes = frame(Role::Server, PING, "x").repeat(n);
            Attack::new(bytes, Then::End)
        }),
        ("pings that are answered one by one", |n| {
            let bytes = frame(Role::Server, PING, "x").repeat(n);
            Attack::new(bytes, Then::End).gives(7).takes(3)
        }),
        ("a frame byte by byte", |n| {
            let bytes = frame(Role::Server, TEXT, vec![b'x'; n]);
            Attack::new(bytes, Then::End).gives(1)
        }),
        ("frames byte by byte", |n| {
            let bytes = frame(Role::Server, BINARY, "x").repeat(n / 7);
            Attack::new(bytes, Then::End).gives(1)
        }),
    ];
    for (name, shape) in shapes {
        for block in [4 * KIB, MIB] {
            let config = with_limits(|limits| limits.read_buffer_size(block));
            let least = |n: usize| {
                // What disturbs a run only makes it dearer.
                let runs = (0..3).map(|_| {
                    let mut socket = Role::Server.socket(shape(n), &config);
                    let (cost, error) = cost(|| block_on(read_to_the_error(&mut socket)));
                    assert!(matches!(error, Error::ClosedWithoutHandshake), "{error:?}");
                    cost
                });
                runs.min().unwrap()
            };
            let (short, long) = (least(4_000), least(32_000));
            assert!(long < short * 24, "{name}: {short:?} became {long:?}");
        }
    }
}

runtimes! {
    /// Undertow CVE-2017-2670: RST or FIN without a Close frame, at any stage.
    async fn busy_loop_on_unclean_close(rt) {
        // Not the timeout is what ends it.
        let config = support::sockets::patient(&rt);
        for role in Role::BOTH {
            let text = frame(role, TEXT, "hello");
            let stages = [
                vec![],
                text[..1].to_vec(),
                text[..4].to_vec(),
                text.clone(),
                fragment(role, TEXT, "a part"),
                frame(role, PING, "ping"),
                // A violation, and a Close that is cut.
                frame(role, CONTINUATION, "wrong"),
                frame(role, CLOSE, [3, 232])[..3].to_vec(),
            ];
            for stage in stages {
                for then in [Then::End, Then::Fail(ErrorKind::ConnectionReset)] {
                    for closes in [false, true] {
                        let mut attack = Attack::new(stage.clone(), then.clone());
                        let (log, dropped) = (attack.log(), attack.dropped());
                        let mut socket = role.socket(attack, &config);
                        if closes {
                            assert!(socket.close(close_frame(1001, "")).await.is_err());
                            drop(socket);
                        } else {
                            echo(socket).await;
                        }
                        dropped.await.unwrap();
                        assert_at_most(log.late(), 2, "reads behind the end");
                    }
                }
            }
        }
    }
}

/// tungstenite 0.30: what is staged leaves in small writes. Eight times the bytes cost about eight
/// times as much; were the rest moved by each write, it would be sixty-four times.
#[test]
fn quadratic_write() {
    const WRITE: usize = 16 * KIB;
    type Shape = fn(usize) -> Vec<Message>;
    let shapes: [(&str, Shape); 3] = [
        ("one message", |n| vec![Message::binary(vec![7; n])]),
        ("small messages", |n| {
            vec![Message::binary(vec![7; 1000]); n / 1000]
        }),
        ("small and large ones", |n| {
            let both = [
                Message::binary(vec![7; 10]),
                Message::binary(vec![7; 10_000]),
            ];
            both.into_iter().cycle().take(2 * n / 10_000).collect()
        }),
    ];
    let config = with_limits(|limits| {
        // All of it is staged before the first write.
        limits
            .write_buffer_size(usize::MAX - 1)
            .max_write_buffer_size(usize::MAX)
            .max_frame_size(None)
    });
    for role in Role::BOTH {
        for (name, shape) in shapes {
            for takes_slices in [false, true] {
                let least = |n: usize| {
                    let runs = (0..(16 * MIB / n).max(1)).map(|_| {
                        let mut attack = Attack::new(Bytes::new(), Then::Wait).takes(WRITE);
                        if !takes_slices {
                            attack = attack.takes_one_slice();
                        }
                        let log = attack.log();
                        let mut socket = role.socket(attack, &config);
                        for message in shape(n) {
                            block_on(socket.feed(message)).unwrap();
                        }
                        let (cost, flushed) = cost(|| block_on(socket.flush()));
                        flushed.unwrap();
                        assert!(log.written() > n - n / 100);
                        cost
                    });
                    runs.min().unwrap()
                };
                let (short, long) = (least(8 * MIB), least(64 * MIB));
                // Where next to nothing is to be done, the least disturbance is the most of it.
                let is_linear = long < short * 24 + Duration::from_millis(10);
                assert!(is_linear, "{role:?}, {name}: {short:?} became {long:?}");
            }
        }
    }
}

/// The same: a large message is not copied to be written, but for the mask of a client, once.
#[test]
fn quadratic_write_copies_little() {
    const LENGTH: usize = 64 * MIB;
    for (role, most) in [(Role::Server, 0), (Role::Client, LENGTH)] {
        let message = Message::binary(vec![7; LENGTH]);
        let attack = Attack::new(Bytes::new(), Then::Wait).takes(16 * KIB);
        let mut socket = role.socket(attack, &alone());
        let memory = counted(|| block_on(socket.send(message)).unwrap());
        assert_at_most(memory.bytes_total, most + 64 * KIB, "bytes were allocated");
    }
}

/// One poll of a socket is one turn of its thread: what it does in one has an end, however fast the
/// stream is, and others come to theirs.
#[test]
fn executor_starvation() {
    // A turn without an end is a test without one.
    support::bounded(starve_executor);
}

fn starve_executor() {
    const TURNS: u32 = 50;
    /// A ticker of 10 ms that is never 50 ms late leaves a turn 40.
    const TURN: Duration = Duration::from_millis(40);
    async fn read(mut socket: WebSocket) {
        read_to_the_error(&mut socket).await;
    }
    async fn close(mut socket: WebSocket) {
        // What comes in the place of a Close is no matter here.
        let _ = socket.close(None).await;
    }
    async fn forward(socket: WebSocket) {
        let (sender, receiver) = socket.split();
        let _ = receiver.forward(sender).await;
    }
    for role in Role::BOTH {
        let wrong = frame(role, CONTINUATION, "wrong");
        for (first, flood) in [
            (vec![], frame(role, BINARY, "")),
            (vec![], frame(role, TEXT, "tiny")),
            (vec![], frame(role, TEXT, "x".repeat(MIB))),
            (vec![], frame(role, PING, "ping")),
            (vec![], frame(role, PONG, [7; 125])),
            (fragment(role, TEXT, ""), fragment(role, CONTINUATION, "")),
            (wrong.clone(), frame(role, TEXT, "tiny")),
        ] {
            // A violation ends the parsing, and so do too many fragments.
            let parsed = if first == wrong {
                0
            } else if first.is_empty() {
                usize::MAX
            } else {
                MAX_FRAGMENTS * flood.len()
            };
            for handler in 0..4 {
                let attack = Attack::new(first.clone(), again(&flood));
                let log = attack.log();
                let socket = role.socket(attack, &alone_and_patient());
                let handler: futures::future::BoxFuture<'_, ()> = match handler {
                    0 => Box::pin(read(socket)),
                    1 => Box::pin(echo(socket)),
                    2 => Box::pin(forward(socket)),
                    _ => Box::pin(close(socket)),
                };
                let (mut turns, mut before) = (0, 0);
                let (cost, end) = cost(|| {
                    drive(handler, || {
                        let bytes = log.read() - before;
                        let frames = if log.read() < parsed {
                            bytes / flood.len()
                        } else {
                            0
                        };
                        assert_at_most(frames, 256 + 2 * BLOCK / flood.len(), "frames in a turn");
                        assert_at_most(bytes, 2 * MIB + 256 * KIB, "bytes in a turn");
                        before = log.read();
                        turns += 1;
                        turns < TURNS
                    })
                });
                // Only `close` goes on reading what is parsed no more.
                assert!(end.is_some() || turns == TURNS, "{turns} turns");
                assert!(cost < turns * TURN, "{turns} turns in {cost:?}");
            }
        }
    }
}

/// aiohttp GHSA-mq44-7p77-q5h7: a compressed frame, though nobody has agreed to compression.
#[test]
fn rsv1_without_negotiation() {
    // `Hello`, as RFC 7692, section 7.2.3.1, has it compressed.
    const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for role in Role::BOTH {
        let compressed = Frame::new(TEXT, HELLO).with_bits(RSV1);
        let start = compressed.clone().unfinished();
        let ping = Frame::new(PING, HELLO).with_bits(RSV1);
        for frame in [compressed, start, ping] {
            let attack = Attack::new(frame.bytes(role.other()), Then::Wait);
            assert_fails(&mut role.socket(attack, &alone()), 1002);
        }
    }
}

/// A socket that waits owns no buffer, whatever it has carried before: what it holds is what it
/// held when it was made.
#[test]
fn memory_of_an_idle_socket() {
    const SOCKETS: usize = 50;
    for role in Role::BOTH {
        for length in [64, 5000, MIB] {
            for one_slice in [false, true] {
                // More than one, as those behind the first are kept until they are asked for.
                let carried = Bytes::from(frame(role, BINARY, vec![7; length]).repeat(3));
                let socket = || {
                    let mut attack = Attack::new(carried.clone(), Then::Wait);
                    if one_slice {
                        attack = attack.takes_one_slice();
                    }
                    role.socket(attack, &alone())
                };
                // The thread has its buffers by these, and they have their sizes.
                (0..SOCKETS).for_each(|_| echo_all(&mut socket()));
                let mut sockets = Vec::with_capacity(SOCKETS);
                let made = counted(|| sockets.extend((0..SOCKETS).map(|_| socket())));
                assert_at_most(made.bytes_current, SOCKETS * KIB, "bytes for new sockets");
                let carried = measure(|| sockets.iter_mut().for_each(echo_all));
                // One of the thread's buffers may still grow: for all of the sockets together.
                assert_at_most(carried.bytes_current, 32 * KIB, "bytes were kept");
            }
        }
    }
}

/// A socket holds as much as came behind a message that its handler is busy with, and not the block
/// that it was read into; that one, only while a good part of it is still to be used.
#[test]
fn memory_of_a_socket_that_is_not_asked_for_more() {
    const SOCKETS: usize = 50;
    for role in Role::BOTH {
        for (count, most) in [(3, 2 * KIB), (7, 8 * KIB), (40, 66 * KIB)] {
            let sent = Bytes::from(frame(role, BINARY, vec![7; KIB]).repeat(count));
            let socket = || role.socket(Attack::new(sent.clone(), Then::Wait), &alone());
            (0..SOCKETS).for_each(|_| echo_all(&mut socket()));
            let mut sockets: Vec<_> = (0..SOCKETS).map(|_| socket()).collect();
            let unread = counted(|| {
                for socket in &mut sockets {
                    assert!(received(socket).is_binary());
                }
            });
            assert_at_most(
                unread.bytes_current,
                SOCKETS * most,
                "bytes for what is unread",
            );
            let all = counted(|| sockets.iter_mut().for_each(echo_all));
            assert!(all.bytes_current < 0, "nothing was given back: {all:?}");
        }
    }
}

/// A socket that was told to read little keeps no large block that another one has made.
#[test]
fn memory_of_a_small_socket_beside_large_ones() {
    const SOCKETS: usize = 20;
    const READ: usize = 4 * KIB;
    for role in Role::BOTH {
        let reads = |size| with_limits(|transport| transport.read_buffer_size(size));
        let little = Bytes::from(frame(role, BINARY, vec![7; 250]).repeat(4));
        let hello = Bytes::from(frame(role, BINARY, "hello"));
        let sockets = |sent: &Bytes, size| -> Vec<_> {
            let attacks = (0..SOCKETS).map(|_| Attack::new(sent.clone(), Then::Wait));
            attacks
                .map(|attack| role.socket(attack, &reads(size)))
                .collect()
        };
        let mut small = sockets(&little, READ);
        let mut large = sockets(&hello, MIB);
        let memory = counted(|| {
            for (small, large) in small.iter_mut().zip(&mut large) {
                assert_eq!(received(large).len(), 5);
                assert_eq!(received(small).len(), 250);
            }
        });
        let most = SOCKETS * READ + 2 * MIB;
        assert_at_most(memory.bytes_current, most, "bytes beside large sockets");
    }
}

/// However many sockets of a thread have not used up what they read, no memory is taken for each
/// read.
#[test]
fn sockets_that_take_turns_use_the_same_blocks() {
    const BURST: usize = 10;
    const SOCKETS: usize = 16;
    const ROUNDS: usize = 20;
    for role in Role::BOTH {
        let burst = frame(role, BINARY, vec![7; KIB]).repeat(BURST);
        let mut sockets: Vec<_> = (0..SOCKETS)
            .map(|_| role.socket(Attack::new("", again(&burst)).gives(burst.len()), &alone()))
            .collect();
        let mut turns = |rounds: usize| {
            for _ in 0..rounds * BURST {
                for socket in &mut sockets {
                    assert!(drive(socket.next(), || true).is_some());
                }
            }
        };
        turns(ROUNDS);
        let memory = measure(|| turns(ROUNDS));
        let most = SOCKETS * ROUNDS * (burst.len() + 4 * KIB);
        assert_at_most(memory.bytes_total, most, "bytes were taken");
    }
}

/// What is read and thrown away while a connection is closed is read as it was set, too.
#[test]
fn a_closing_socket_reads_no_more_than_was_set() {
    const READ: usize = 64;
    for role in Role::BOTH {
        // The thread has a large block by this one.
        let hello = frame(role, BINARY, "hello");
        let large = with_limits(|transport| transport.read_buffer_size(MIB));
        received(&mut role.socket(Attack::new(hello, Then::Wait), &large));

        let attack = Attack::new(frame(role, CLOSE, [3, 232]), again(&[0; 4096]));
        let log = attack.log();
        let transport = TransportConfig::default().read_buffer_size(READ);
        let mut socket = role.socket(attack, &alone_and_patient().set_transport(transport));
        assert!(received(&mut socket).is_close());
        assert!(
            socket.close(None).now_or_never().is_none(),
            "it goes on to send"
        );
        // So many reads are a turn.
        assert_at_most(log.read(), 300 * READ, "bytes were read in a turn");
    }
}

/// Text gets as much room as anything else, wherever its characters are cut.
#[test]
fn memory_of_text_grows_with_what_arrives() {
    for role in Role::BOTH {
        for character in ["a", "ä", "語", "😀"] {
            let text = character.repeat(3 * MIB / character.len());
            let sent = Bytes::from(frame(role, TEXT, text.as_str()));
            let mut socket = role.socket(Attack::new(sent, Then::Wait), &alone());
            let memory = counted(|| {
                let message = drive(socket.next(), || true).flatten();
                assert!(message.unwrap().unwrap().to_text().unwrap() == text);
            });
            // Its own room, and the one before.
            let most = 2 * text.len() + 2 * BLOCK;
            assert_at_most(memory.bytes_max, most, "bytes for text");
        }
    }
}

/// A socket that has come to its end holds nothing of the message that was not completed, though
/// it is not dropped yet, or is draining its stream.
#[test]
fn memory_of_a_socket_at_its_end() {
    for role in Role::BOTH {
        let start = fragment(role, BINARY, vec![7; MIB]);
        for (end, then) in [
            (frame(role, BINARY, "not a continuation"), Then::Wait),
            (frame(role, CLOSE, [3, 232]), Then::Wait),
            (vec![], Then::End),
            (vec![], Then::Fail(ErrorKind::ConnectionReset)),
        ] {
            let attack = Attack::new([&start[..], &end].concat(), then.clone());
            let mut socket = role.socket(attack, &alone());
            let memory = counted(|| {
                let item = block_on(socket.next()).expect("a Close or an error");
                assert!(item.is_err() || item.unwrap().is_close());
            });
            assert_at_most(
                memory.bytes_current,
                KIB,
                &format!("bytes are held after {then:?}"),
            );
        }
    }
}

/// A socket that nobody can finish writes all that its stream takes before it is gone, however
/// little that is at a time: others have no turn to wait for.
#[test]
fn a_dropped_socket_writes_all_that_a_slow_stream_takes() {
    const LENGTH: usize = 10_000;
    for role in Role::BOTH {
        let attack = Attack::new(Bytes::new(), Then::Wait).takes(1);
        let log = attack.log();
        let mut socket = role.socket(attack, &alone());
        block_on(socket.feed(Message::binary(vec![7; LENGTH]))).unwrap();
        drop(socket);
        // Two headers, and the code of the Close.
        let headers = if role == Role::Client { 8 + 6 } else { 4 + 2 };
        assert_eq!(log.written(), LENGTH + headers + 2);
    }
}
