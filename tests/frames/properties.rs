//! What holds of any messages and any cuts: bytes come out as they went in. Where all cases can be
//! gone through, they are.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use anyws::{Error, Message, ProtocolError, TransportConfig, WebSocket, WebSocketConfig};
use futures::{AsyncRead, AsyncWrite, FutureExt, executor::block_on};
use proptest::{collection::vec, prelude::*, test_runner::Config};
use support::{
    attack::{Attack, Then, alone},
    frames::{BINARY, CONTINUATION, Frame, PING, PONG, Role, TEXT},
    raw::header,
    sockets::now,
};

/// A stream that is cut wherever a test likes it.
struct Cut {
    incoming: Vec<u8>,
    /// What was read of them.
    at: usize,
    reads: Cuts,
    writes: Cuts,
    /// A write takes more than one slice.
    takes_slices: bool,
    written: Arc<Mutex<Vec<u8>>>,
}

/// How many bytes each call moves at most, again and again; with 0 it has to wait for a turn.
#[derive(Clone, Debug)]
struct Cuts {
    sizes: Vec<usize>,
    next: usize,
}

impl Cuts {
    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<usize> {
        let size = self.sizes[self.next % self.sizes.len()];
        self.next += 1;
        if size == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(size)
    }
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.reads.poll_next(cx).map(|most| {
            let rest = &self.incoming[self.at..];
            let length = rest.len().min(buf.len()).min(most);
            buf[..length].copy_from_slice(&rest[..length]);
            self.at += length;
            Ok(length)
        })
    }
}

impl AsyncWrite for Cut {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.poll_next(cx).map(|most| {
            let slices = if self.takes_slices { bufs.len() } else { 1 };
            let mut written = self.written.lock().unwrap();
            let before = written.len();
            for slice in &bufs[..slices] {
                let room = most - (written.len() - before);
                written.extend(&slice[..slice.len().min(room)]);
            }
            Ok(written.len() - before)
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// How a stream treats what goes through it.
#[derive(Clone, Debug)]
struct Treatment {
    reads: Cuts,
    writes: Cuts,
    takes_slices: bool,
    read_buffer: usize,
}

impl Treatment {
    fn stream(&self, incoming: Vec<u8>) -> Cut {
        Cut {
            incoming,
            at: 0,
            reads: self.reads.clone(),
            writes: self.writes.clone(),
            takes_slices: self.takes_slices,
            written: Arc::default(),
        }
    }

    fn config(&self, fragment: Option<usize>) -> WebSocketConfig {
        let transport = TransportConfig::default().read_buffer_size(self.read_buffer);
        alone().set_transport(match fragment {
            Some(size) => transport.fragment_size(size).max_frame_size(size),
            None => transport,
        })
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

fn cuts() -> impl Strategy<Value = Cuts> {
    let size = prop_oneof![Just(0), 1..4_usize, 1..200_usize, 1..20_000_usize];
    (vec(size, 0..6), 1..10_000_usize).prop_map(|(mut sizes, last)| {
        // Or it would wait for ever.
        sizes.push(last);
        Cuts { sizes, next: 0 }
    })
}

fn treatment() -> impl Strategy<Value = Treatment> {
    let read_buffer = prop_oneof![1..20_usize, Just(4096), Just(65536)];
    (cuts(), cuts(), any::<bool>(), read_buffer).prop_map(
        |(reads, writes, takes_slices, read_buffer)| Treatment {
            reads,
            writes,
            takes_slices,
            read_buffer,
        },
    )
}

/// Lengths around the bounds of the forms of a length, and around what is copied and what is not.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..10_usize,
        120..130_usize,
        2040..2060_usize,
        4080..4110_usize,
        16_000..17_000_usize,
        65_530..65_540_usize,
    ]
}

fn text() -> impl Strategy<Value = String> {
    let few = vec(any::<char>(), 0..40).prop_map(String::from_iter);
    let many = (vec(any::<char>(), 1..5), length());
    let many = many.prop_map(|(some, length)| some.iter().cycle().take(length / 2).collect());
    prop_oneof![few, many]
}

fn binary(length: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<u8>> {
    (length, any::<u8>()).prop_map(|(length, first)| {
        // 251 is no power of 2, so that no shift of the mask goes unseen.
        let bytes = (0..251).map(|byte: u8| byte.wrapping_add(first));
        bytes.cycle().take(length).collect()
    })
}

fn data() -> impl Strategy<Value = Message> {
    prop_oneof![
        text().prop_map(Message::text),
        binary(length()).prop_map(Message::binary)
    ]
}

fn control() -> impl Strategy<Value = Message> {
    let payload = || binary(0..=125_usize);
    prop_oneof![
        payload().prop_map(|payload| Message::Ping(payload.into())),
        payload().prop_map(|payload| Message::Pong(payload.into())),
    ]
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    vec(prop_oneof![3 => data(), 1 => control()], 0..10)
}

/// A message that its sender has cut at will, and what it sends between the pieces.
#[derive(Clone, Debug)]
struct Fragmented {
    message: Message,
    /// Where each piece but the last ends, and a control frame behind it.
    pieces: Vec<(usize, Option<Message>)>,
}

fn fragmented() -> impl Strategy<Value = Fragmented> {
    (
        data(),
        vec((any::<usize>(), proptest::option::of(control())), 0..8),
    )
        .prop_map(|(message, mut pieces)| {
            for (end, _) in &mut pieces {
                *end %= message.len() + 1;
            }
            pieces.sort_by_key(|(end, _)| *end);
            Fragmented { message, pieces }
        })
}

fn opcode(message: &Message) -> u8 {
    match message {
        Message::Text(_) => TEXT,
        Message::Binary(_) => BINARY,
        Message::Ping(_) => PING,
        _ => PONG,
    }
}

/// A message in one frame.
fn frame(message: &Message) -> Frame {
    Frame::new(opcode(message), message.clone().into_data())
}

/// The bytes of the fragments, and the messages in the order in which they are complete.
fn encode(fragmented: &[Fragmented], from: Role) -> (Vec<u8>, Vec<Message>) {
    let (mut bytes, mut messages) = (Vec::new(), Vec::new());
    for Fragmented { message, pieces } in fragmented {
        let whole = frame(message);
        let mut start = 0;
        let mut piece = |end: usize, is_first: bool| {
            let payload = &whole.payload[start..end];
            start = end;
            let continued = if is_first {
                opcode(message)
            } else {
                CONTINUATION
            };
            Frame::new(continued, payload)
        };
        for (number, (end, between)) in pieces.iter().enumerate() {
            bytes.extend(piece(*end, number == 0).unfinished().bytes(from));
            if let Some(between) = between {
                bytes.extend(frame(between).bytes(from));
                messages.push(between.clone());
            }
        }
        bytes.extend(piece(message.len(), pieces.is_empty()).bytes(from));
        messages.push(message.clone());
    }
    (bytes, messages)
}

/// Sends messages and returns the bytes that were written.
fn sent(role: Role, messages: &[Message], way: &Treatment, fragment: Option<usize>) -> Vec<u8> {
    let stream = way.stream(Vec::new());
    let written = Arc::clone(&stream.written);
    let mut socket = role.socket(stream, &way.config(fragment));
    block_on(async {
        for (number, message) in messages.iter().enumerate() {
            if number % 3 == 0 {
                socket.send(message.clone()).await.unwrap();
            } else {
                socket.feed(message.clone()).await.unwrap();
            }
        }
        socket.flush().await.unwrap();
    });
    // What comes when the socket is dropped is not looked at.
    let written = written.lock().unwrap();
    written.clone()
}

/// Receives the messages in `bytes`, which no Close ends.
fn received(role: Role, bytes: Vec<u8>, way: &Treatment, fragment: Option<usize>) -> Vec<Message> {
    let mut socket = role.socket(way.stream(bytes), &way.config(fragment));
    std::iter::from_fn(|| receive(&mut socket)).collect()
}

/// Receives a message, or `None` at the end of the stream, which no Close is before.
fn receive(socket: &mut WebSocket) -> Option<Message> {
    match block_on(socket.next()).expect("an error comes before the end") {
        Ok(message) => Some(message),
        Err(Error::ClosedWithoutHandshake) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Small numbers of cases, of which none is kept in a file.
fn cases(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn what_one_socket_sends_the_other_receives(
        from in role(),
        messages in messages(),
        there in treatment(),
        back in treatment(),
        fragment in prop_oneof![Just(None), (1024..5000_usize).prop_map(Some)],
    ) {
        let bytes = sent(from, &messages, &there, fragment);
        // Not `prop_assert_eq`: nobody wants to read all the bytes.
        prop_assert!(received(from.other(), bytes, &back, fragment) == messages);
    }

    #[test]
    fn sockets_of_a_thread_that_take_turns_keep_their_bytes_apart(
        peers in vec((role(), messages(), treatment()), 2..8),
        turns in vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let mut waiting: Vec<_> = peers
            .into_iter()
            .map(|(from, messages, way)| {
                let bytes = sent(from, &messages, &way, None);
                let socket = from.other().socket(way.stream(bytes), &way.config(None));
                (socket, messages.into_iter())
            })
            .collect();
        let mut turns = turns.iter().cycle();
        while !waiting.is_empty() {
            let turn = turns.next().map_or(0, |turn| turn.index(waiting.len()));
            let (socket, expected) = &mut waiting[turn];
            let expected = expected.next();
            prop_assert!(receive(socket) == expected);
            if expected.is_none() {
                waiting.swap_remove(turn);
            }
        }
    }

    #[test]
    fn short_writes_and_single_slices_give_the_same_bytes(
        messages in messages(),
        way in treatment(),
    ) {
        let bytes = sent(Role::Server, &messages, &way, None);
        let expected = messages.iter().flat_map(|message| frame(message).bytes(Role::Server));
        prop_assert!(bytes == expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_client_writes_the_same_but_for_the_mask(messages in messages(), way in treatment()) {
        let bytes = sent(Role::Client, &messages, &way, None);
        let mut rest = &bytes[..];
        for message in &messages {
            let expected = frame(message).bytes(Role::Server);
            let head = expected.len() - message.len();
            let (own, behind) = rest.split_at(head);
            let ([first, second, length @ ..], [first_too, second_too, length_too @ ..]) =
                (own, &expected[..head])
            else {
                unreachable!("a header has two bytes")
            };
            prop_assert_eq!((first, *second, length), (first_too, second_too | 0x80, length_too));
            let (key, behind) = behind.split_at(4);
            let (payload, behind) = behind.split_at(message.len());
            let unmasked = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
            prop_assert!(unmasked.eq(expected[head..].iter().copied()));
            rest = behind;
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn fragments_are_put_together_and_control_frames_come_between(
        to in role(),
        fragmented in vec(fragmented(), 0..5),
        way in treatment(),
    ) {
        let (bytes, messages) = encode(&fragmented, to.other());
        prop_assert!(received(to, bytes, &way, None) == messages);
    }

    #[test]
    fn what_is_wrong_is_judged_alike_wherever_it_is_cut(
        to in role(),
        fragmented in vec(fragmented(), 1..3),
        changes in vec((any::<usize>(), any::<u8>()), 0..4),
        way in treatment(),
    ) {
        let (mut bytes, _) = encode(&fragmented, to.other());
        for (at, change) in changes {
            // Most of the bytes are payload, most of the mistakes are to be in front.
            let at = at % bytes.len().min(300);
            bytes[at] ^= change;
        }
        let judge = |way: &Treatment| {
            let mut socket = to.socket(way.stream(bytes.clone()), &way.config(None));
            let mut items = Vec::new();
            while let Some(item) = block_on(socket.next()) {
                items.push(item.map_err(|error| error.to_string()));
            }
            prop_assert!(socket.next().now_or_never().flatten().is_none());
            Ok(items)
        };
        let whole = Cuts { sizes: vec![usize::MAX], next: 0 };
        let uncut = Treatment { reads: whole.clone(), writes: whole, ..way.clone() };
        prop_assert!(judge(&way)? == judge(&uncut)?);
    }
}

/// Every beginning of a header, in a message and outside of one, against the rules as RFC 6455 has
/// them. The lengths that follow are in order.
#[test]
fn every_first_and_second_byte_is_judged_by_the_rules() {
    for role in Role::BOTH {
        let start = Frame::text("").unfinished().bytes(role.other());
        for inside in [false, true] {
            for (first, second) in (0..=255).flat_map(|a| (0..=255).map(move |b| (a, b))) {
                let length = match second & 0x7f {
                    short @ ..126 => short.into(),
                    126 => 126_u64,
                    _ => 65536,
                };
                let mut bytes = if inside { start.clone() } else { Vec::new() };
                bytes.extend(header(first, length, second & 0x80 != 0));
                let attack = Attack::new(bytes, Then::Wait);
                let item = role.socket(attack, &alone()).next().now_or_never();
                let is_legal = is_legal(role, inside, first, second);
                match item {
                    None | Some(Some(Ok(_))) => assert!(is_legal, "{first:02x} {second:02x}"),
                    Some(Some(Err(Error::Protocol(error)))) => {
                        assert!(!is_legal, "{first:02x} {second:02x}: {error}");
                        assert_eq!(u16::from(error.close_code()), 1002);
                    }
                    other => panic!("{first:02x} {second:02x}: {other:?}"),
                }
            }
        }
    }
}

/// Sections 5.1, 5.2, 5.4 and 5.5.
fn is_legal(to: Role, inside: bool, first: u8, second: u8) -> bool {
    let is_final = first & 0x80 != 0;
    let is_masked = second & 0x80 != 0;
    let in_place = match first & 0x0f {
        0 => inside,
        1 | 2 => !inside,
        // A Close of one byte is wrong as well, but its header does not tell.
        8..=10 => is_final && second & 0x7f <= 125,
        _ => false,
    };
    first & 0x70 == 0 && is_masked == to.other().masks() && in_place
}

/// Sections 7.4.1 and 7.4.2, and the registry that 11.7 founds.
#[test]
fn every_code_of_a_close_is_judged_by_the_rules() {
    for role in Role::BOTH {
        for code in 0..=u16::MAX {
            let bytes = Frame::close(code, "").bytes(role.other());
            let mut socket = role.socket(Attack::new(bytes, Then::Wait), &alone());
            let is_legal = match code {
                1004..=1006 => false,
                1000..=1014 | 3000..=4999 => true,
                _ => false,
            };
            match now(socket.next()) {
                Some(Ok(Message::Close(Some(frame)))) => {
                    assert!(is_legal && u16::from(frame.code) == code, "{code}");
                }
                Some(Err(Error::Protocol(ProtocolError::InvalidClose))) => {
                    assert!(!is_legal, "{code}");
                }
                other => panic!("{code}: {other:?}"),
            }
        }
    }
}
