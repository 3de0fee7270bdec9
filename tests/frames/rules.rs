//! The rows 32 to 46, 54 and 57: what a frame and a message may be. Each is shown on a stream in
//! memory, for both roles wherever it is about both; the other rows are in `control`.
//!
//! A test is named after its row and the section of RFC 6455. Where the header of a frame is enough
//! to judge it, not one byte of payload is sent.

use anyws::{Error, InvalidMessage, Message, ProtocolError, WebSocket, WebSocketConfig};
use futures::{FutureExt, future::join};
use support::{
    frames::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, Peer, Role, TEXT},
    raw::header,
    runtimes,
    sockets::{assert_waits, close, now, patient, received, with_limits},
};

const FIN: u8 = 0x80;

/// The bits that are reserved for extensions (section 5.2).
const RESERVED: [u8; 7] = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70];

/// The opcodes without a meaning (section 11.8).
const UNKNOWN: [u8; 10] = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15];

/// The codes at the bounds of what may be on the wire (section 7.4, and the registry it founds).
const LEGAL_CODES: [u16; 16] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
];

/// Codes that may not be on the wire, at the bounds of those that may.
const ILLEGAL_CODES: [u16; 13] = [
    0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
];

/// Texts whose last byte is the first that no text has at its place (section 8.1).
const WRONG_TEXTS: [&[u8]; 12] = [
    b"ok \x80",
    b"ok \xbf",
    b"ok \xc0",
    b"ok \xc1",
    b"ok \xf5",
    b"ok \xff",
    b"ok \xc3x",
    b"ok \xe0\x9f",
    b"ok \xed\xa0",
    b"ok \xf0\x8f",
    b"ok \xf4\x90",
    b"ok \xf0\x9f\xa6\xc0",
];

/// Demands that a socket fails with `error`, and that the peer is told `code` and nothing else.
fn assert_failed(socket: &mut WebSocket, peer: &mut Peer, error: &ProtocolError, code: u16) {
    match now(socket.next()) {
        Some(Err(Error::Protocol(found))) => assert_eq!(found, *error),
        other => panic!("{other:?} is not {error:?}"),
    }
    assert_told(socket, peer, code);
}

/// Demands that a socket has told its peer of a failure by `code`, and has come to its end.
fn assert_told(socket: &mut WebSocket, peer: &mut Peer, code: u16) {
    assert_eq!(now(peer.frame()).expect("a Close comes").code(), code);
    assert!(now(socket.next()).is_none());
    let more = peer.frame().now_or_never().flatten();
    assert_eq!(more, None, "one Close is all");
}

/// Demands that a message was refused, to its sender alone.
fn assert_invalid(sent: &anyws::Result<()>, expected: &InvalidMessage) {
    let is_expected = matches!(sent, Err(Error::InvalidMessage(why)) if why == expected);
    assert!(is_expected, "{sent:?} is not {expected:?}");
}

/// What a socket is given, and how it is to fail.
struct Case {
    /// Frames that are in order.
    before: Vec<Frame>,
    /// The wrong bytes.
    bytes: Vec<u8>,
    error: ProtocolError,
}

impl Case {
    fn new(bytes: Vec<u8>, error: ProtocolError) -> Self {
        let before = Vec::new();
        Self {
            before,
            bytes,
            error,
        }
    }

    fn after(mut self, before: &[Frame]) -> Self {
        self.before = before.to_vec();
        self
    }

    /// Demands the failure, once with all bytes at once, and once with one after the other: then it
    /// may come before the last one, as soon as nothing can mend it.
    async fn assert(&self, role: Role, config: &WebSocketConfig, code: u16) {
        for chunk in [self.bytes.len(), 1] {
            let (mut socket, mut peer) = role.with_peer(config);
            for frame in &self.before {
                peer.send(frame.clone()).await;
                assert_waits(&mut socket);
            }
            let mut chunks = self.bytes.chunks(chunk);
            let item = loop {
                let chunk = chunks.next();
                let chunk = chunk.unwrap_or_else(|| panic!("{:02x?} fails nothing", self.bytes));
                peer.send_bytes(chunk).await;
                if let Some(item) = socket.next().now_or_never() {
                    break item;
                }
            };
            match item {
                Some(Err(Error::Protocol(error))) => {
                    assert_eq!(error, self.error, "{role:?}: {:02x?}", self.bytes);
                }
                other => panic!("{role:?}: {other:?} after {:02x?}", self.bytes),
            }
            assert_told(&mut socket, &mut peer, code);
        }
    }
}

/// Demands that the peers of both roles fail a connection by headers alone.
async fn assert_headers_fail(
    config: &WebSocketConfig,
    code: u16,
    cases: impl Fn(Role) -> Vec<Case>,
) {
    for role in Role::BOTH {
        for case in cases(role) {
            case.assert(role, config, code).await;
        }
    }
}

/// The header of a frame to a socket of `role`.
fn header_to(role: Role, first: u8, length: u64) -> Vec<u8> {
    header(first, length, role.other().masks())
}

/// The header of a frame to a socket of `role`, with a length of any form.
fn malformed_to(role: Role, first: u8, length: &[u8]) -> Vec<u8> {
    let mut bytes = header_to(role, first, 0);
    bytes[1] |= length[0];
    bytes.splice(2..2, length[1..].iter().copied());
    bytes
}

fn wide(length: u64) -> Vec<u8> {
    [&[127], &length.to_be_bytes()[..]].concat()
}

runtimes! {
    async fn rule_32_a_reserved_bit_5_2(rt) {
        assert_headers_fail(&patient(&rt), 1002, |role| {
            let mut cases = Vec::new();
            for bits in RESERVED {
                for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
                    let header = header_to(role, FIN | bits | opcode, 5);
                    cases.push(Case::new(header, ProtocolError::ReservedBits));
                }
                let header = header_to(role, bits | CONTINUATION, 5);
                let case = Case::new(header, ProtocolError::ReservedBits);
                cases.push(case.after(&[Frame::text("x").unfinished()]));
            }
            cases
        }).await;
    }

    async fn rule_33_an_unknown_opcode_5_2(rt) {
        assert_headers_fail(&patient(&rt), 1002, |role| {
            UNKNOWN.into_iter().flat_map(|opcode| {
                [opcode, FIN | opcode].map(|first| {
                    let header = header_to(role, first, 5);
                    Case::new(header, ProtocolError::UnknownOpcode(opcode))
                })
            }).collect()
        }).await;
    }

    async fn rule_34_an_unmasked_frame_at_the_server_5_1(rt) {
        for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
            for length in [0, 5, 125] {
                let header = header(FIN | opcode, length, false);
                let case = Case::new(header, ProtocolError::UnmaskedFrame);
                case.assert(Role::Server, &patient(&rt), 1002).await;
            }
        }
        let lenient = with_limits(&rt, |limits| limits.accept_unmasked_frames(true));
        let (mut socket, mut peer) = Role::Server.with_peer(&lenient);
        peer.send_bytes(&Frame::text("plain").bytes(Role::Server)).await;
        assert_eq!(received(&mut socket), Message::text("plain"));
    }

    async fn rule_35_a_masked_frame_at_the_client_5_1(rt) {
        let lenient = with_limits(&rt, |limits| limits.accept_unmasked_frames(true));
        for config in [patient(&rt), lenient] {
            for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
                for length in [0, 5, 125] {
                    let header = header(FIN | opcode, length, true);
                    let case = Case::new(header, ProtocolError::MaskedFrame);
                    case.assert(Role::Client, &config, 1002).await;
                }
            }
        }
    }

    /// One that nobody else has is masked in its own memory, and one that is kept is not.
    async fn rule_36_a_payload_that_the_user_keeps_stays_as_it_was_5_3(rt) {
        let (mut socket, mut peer) = Role::Client.with_roomy_peer(&support::config(&rt));
        for length in [4095, 4096, 65_535, 65_536, 300_001] {
            let sent: Vec<_> = (0..=u8::MAX).cycle().take(length).collect();
            for kept in [None, Some(anyws::Bytes::from(sent.clone()))] {
                let own = || anyws::Bytes::from(sent.clone());
                let message = Message::Binary(kept.clone().unwrap_or_else(own));
                socket.send(message).await.unwrap();
                assert!(now(peer.frame()).unwrap().payload == sent);
                assert!(kept.is_none_or(|kept| kept == sent));
            }
        }
    }

    async fn rule_36_the_client_masks_every_frame_with_another_key_5_3(rt) {
        let config = with_limits(&rt, |limits| limits.fragment_size(5000));
        let (mut socket, mut peer) = Role::Client.with_peer(&config);
        // Small, with a buffer of its own, in fragments, control, empty; and the number of frames.
        for (message, frames) in [
            (Message::text("small"), 1),
            (Message::binary(vec![0; 5000]), 1),
            (Message::binary(vec![0; 12_000]), 3),
            (Message::Ping("ping".into()), 1),
            (Message::text(""), 1),
        ] {
            for _ in 0..30 {
                socket.send(message.clone()).await.unwrap();
                let mut payload = Vec::new();
                for _ in 0..frames {
                    payload.extend(now(peer.frame()).unwrap().payload);
                }
                assert!(payload == message.clone().into_data());
            }
        }
        let mut keys = peer.keys;
        assert_eq!(keys.len(), 30 * 7);
        // Every bit is set in some keys and not in others.
        let keys_as_numbers = || keys.iter().map(|key| u32::from_be_bytes(*key));
        assert_eq!(keys_as_numbers().fold(0, |all, key| all | key), u32::MAX);
        assert_eq!(keys_as_numbers().fold(u32::MAX, |all, key| all & key), 0);
        // Two of 210 random keys are equal once in 200,000 runs.
        keys.sort_unstable();
        keys.dedup();
        assert!(keys.len() >= 209);
    }

    async fn rule_37_a_length_that_is_not_minimal_5_2(rt) {
        assert_headers_fail(&patient(&rt), 1002, |role| {
            let mut lengths: Vec<Vec<u8>> = [0, 1, 125].map(|length| vec![126, 0, length]).into();
            lengths.extend([0, 1, 125, 126, 127, 65535].map(wide));
            let header = |length: Vec<u8>| malformed_to(role, FIN | BINARY, &length);
            lengths.into_iter().map(|length| {
                Case::new(header(length), ProtocolError::InvalidLength)
            }).collect()
        }).await;
    }

    async fn rule_38_a_length_of_64_bits_5_2(rt) {
        // No limit is what refuses it.
        let config = with_limits(&rt, |limits| limits.max_frame_size(None).max_message_size(None));
        assert_headers_fail(&config, 1002, |role| {
            [1 << 63, (1 << 63) + 5, u64::MAX].map(|length| {
                Case::new(header_to(role, FIN | BINARY, length), ProtocolError::InvalidLength)
            }).into()
        }).await;
    }

    async fn rule_39_control_frames_are_short_and_whole_5_5(rt) {
        assert_headers_fail(&patient(&rt), 1002, |role| {
            let mut cases = Vec::new();
            for opcode in [CLOSE, PING, PONG] {
                for length in [126, 65535, 65536] {
                    let header = header_to(role, FIN | opcode, length);
                    cases.push(Case::new(header, ProtocolError::ControlTooLong));
                }
                for length in [0, 5, 125] {
                    let header = header_to(role, opcode, length);
                    cases.push(Case::new(header, ProtocolError::FragmentedControl));
                }
            }
            cases
        }).await;
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            peer.send(Frame::new(PONG, [7; 125])).await;
            assert_eq!(received(&mut socket), Message::Pong(vec![7; 125].into()));
        }
    }

    async fn rule_40_control_frames_between_fragments_5_4(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            peer.send(Frame::text("one, ").unfinished()).await;
            peer.send(Frame::new(PING, "at once")).await;
            assert_eq!(received(&mut socket), Message::Ping("at once".into()));
            // The message is not complete, and need not be.
            assert_waits(&mut socket);
            assert_eq!(now(peer.frame()), Some(Frame::new(PONG, "at once")));
            peer.send(Frame::new(CONTINUATION, "two").unfinished()).await;
            peer.send(Frame::new(PONG, "")).await;
            assert_eq!(received(&mut socket), Message::Pong("".into()));
            peer.send(Frame::new(CONTINUATION, "")).await;
            assert_eq!(received(&mut socket), Message::text("one, two"));
            peer.send(Frame::text("never complete").unfinished()).await;
            peer.send(Frame::close(1001, "")).await;
            assert_eq!(received(&mut socket), close(1001, ""));
            assert_eq!(now(peer.frame()), Some(Frame::close(1001, "")));
            assert!(now(socket.next()).is_none());
        }
    }

    async fn rule_41_a_continuation_of_nothing_5_4(rt) {
        let error = ProtocolError::UnexpectedContinuation;
        assert_headers_fail(&patient(&rt), 1002, |role| {
            [CONTINUATION, FIN | CONTINUATION].map(|first| {
                Case::new(header_to(role, first, 5), error.clone())
            }).into()
        }).await;
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            peer.send(Frame::text("one, ").unfinished()).await;
            peer.send(Frame::new(CONTINUATION, "two")).await;
            assert_eq!(received(&mut socket), Message::text("one, two"));
            peer.send_bytes(&header_to(role, FIN | CONTINUATION, 5)).await;
            assert_failed(&mut socket, &mut peer, &error, 1002);
        }
    }

    async fn rule_42_a_message_inside_a_fragmented_one_5_4(rt) {
        assert_headers_fail(&patient(&rt), 1002, |role| {
            let firsts = [TEXT, FIN | TEXT, BINARY, FIN | BINARY];
            firsts.into_iter().flat_map(|first| {
                let case = || {
                    Case::new(header_to(role, first, 5), ProtocolError::ExpectedContinuation)
                };
                let start = Frame::text("").unfinished();
                let next = Frame::new(CONTINUATION, "x").unfinished();
                let starts = [vec![start.clone()], vec![start, next]];
                starts.map(|before| case().after(&before))
            }).collect()
        }).await;
    }

    async fn rule_43_text_fails_at_its_first_wrong_byte_8_1(rt) {
        for role in Role::BOTH {
            for wrong in WRONG_TEXTS {
                let (last, before) = wrong.split_last().unwrap();
                // An unfinished frame of an unfinished message or of a whole one, and an unfinished
                // fragment behind another.
                for (first, start) in
                    [(TEXT, None), (FIN | TEXT, None), (CONTINUATION, Some("é"))]
                {
                    let (mut socket, mut peer) = role.with_peer(&patient(&rt));
                    if let Some(start) = start {
                        peer.send(Frame::text(start).unfinished()).await;
                    }
                    let payload = [before, &[*last; 1000]].concat();
                    let mut bytes = Frame::new(BINARY, payload).bytes(role.other());
                    bytes[0] = first;
                    // What is left out are 999 bytes.
                    bytes.truncate(bytes.len() - 999);
                    let last = bytes.pop().unwrap();
                    peer.send_bytes(&bytes).await;
                    assert_waits(&mut socket);
                    peer.send_bytes(&[last]).await;
                    assert_failed(&mut socket, &mut peer, &ProtocolError::InvalidUtf8, 1007);
                }
            }
        }
    }

    async fn rule_43_a_character_is_cut_by_fragments_but_not_by_the_end_8_1(rt) {
        let text = "aé語🦀".as_bytes();
        for role in Role::BOTH {
            for cut in 0..=text.len() {
                let (mut socket, mut peer) = role.with_peer(&patient(&rt));
                let (one, other) = text.split_at(cut);
                peer.send(Frame::new(TEXT, one).unfinished()).await;
                assert_waits(&mut socket);
                peer.send(Frame::new(CONTINUATION, other)).await;
                assert_eq!(received(&mut socket), Message::text("aé語🦀"));
                // The message ends where the first fragment did.
                peer.send(Frame::new(TEXT, one)).await;
                if let Ok(text) = std::str::from_utf8(one) {
                    assert_eq!(received(&mut socket), Message::text(text));
                } else {
                    assert_failed(&mut socket, &mut peer, &ProtocolError::InvalidUtf8, 1007);
                }
            }
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            peer.send(Frame::new(BINARY, WRONG_TEXTS[0])).await;
            assert_eq!(received(&mut socket), Message::binary(WRONG_TEXTS[0]));
        }
    }

    async fn rule_44_the_payload_of_a_close_5_5_1(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            peer.send(Frame::new(CLOSE, [3])).await;
            assert_failed(&mut socket, &mut peer, &ProtocolError::InvalidClose, 1002);
            for wrong in WRONG_TEXTS.into_iter().chain([&b"cut \xc3"[..]]) {
                let (mut socket, mut peer) = role.with_peer(&patient(&rt));
                peer.send(Frame::new(CLOSE, [&1000_u16.to_be_bytes(), wrong].concat())).await;
                assert_failed(&mut socket, &mut peer, &ProtocolError::InvalidUtf8, 1007);
            }
        }
    }

    async fn rule_45_close_codes_that_are_received_7_4(rt) {
        for role in Role::BOTH {
            for code in LEGAL_CODES {
                let (mut socket, mut peer) = role.with_peer(&patient(&rt));
                peer.send(Frame::close(code, "größer")).await;
                assert_eq!(received(&mut socket), close(code, "größer"));
            }
            for code in ILLEGAL_CODES {
                let (mut socket, mut peer) = role.with_peer(&patient(&rt));
                peer.send(Frame::close(code, "")).await;
                assert_failed(&mut socket, &mut peer, &ProtocolError::InvalidClose, 1002);
            }
        }
    }

    async fn rule_46_what_is_never_sent_7_4(rt) {
        use anyws::InvalidMessage::{CloseCode, CloseReasonTooLong, ControlTooLong};
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            for code in (0..=999).chain(1004..=1006).chain(1015..=2999).chain(5000..=u16::MAX) {
                assert_invalid(&now(socket.send(close(code, ""))), &CloseCode(code));
            }
            let reason = "x".repeat(124);
            assert_invalid(&now(socket.send(close(1000, &reason))), &CloseReasonTooLong(124));
            for message in [Message::Ping, Message::Pong] {
                let message = message(vec![7; 126].into());
                assert_invalid(&now(socket.send(message)), &ControlTooLong(126));
            }
            // The connection is unharmed, and what just fits is sent.
            socket.send(Message::Ping(vec![7; 125].into())).await.unwrap();
            socket.send(close(1014, &reason[1..])).await.unwrap();
            assert_eq!(now(peer.frame()), Some(Frame::new(PING, [7; 125])));
            assert_eq!(now(peer.frame()), Some(Frame::close(1014, &reason[1..])));
        }
    }

    async fn rule_54_limits_are_kept_by_the_header_7_4_1(rt) {
        let config = with_limits(&rt, |limits| limits.max_frame_size(600).max_message_size(1000));
        let too_large = |size, limit| ProtocolError::TooLarge { size, limit };
        assert_headers_fail(&config, 1009, |role| {
            let fragment = |length: usize| Frame::new(BINARY, vec![7; length]).unfinished();
            let next = Frame::new(CONTINUATION, [7; 100]).unfinished();
            let case = |first, length, size, limit| {
                Case::new(header_to(role, first, length), too_large(size, limit))
            };
            vec![
                case(FIN | BINARY, 601, 601, 600),
                case(TEXT, 601, 601, 600),
                case(FIN | BINARY, 65536, 65536, 600),
                case(FIN | CONTINUATION, 501, 1001, 1000).after(&[fragment(500)]),
                case(CONTINUATION, 401, 1001, 1000).after(&[fragment(500), next]),
            ]
        }).await;
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&config);
            peer.send(Frame::new(BINARY, [7; 600]).unfinished()).await;
            // What is no data does not count.
            peer.send(Frame::new(PONG, [7; 125])).await;
            received(&mut socket);
            peer.send(Frame::new(CONTINUATION, [7; 400])).await;
            assert_eq!(received(&mut socket), Message::binary(vec![7; 1000]));
        }
    }

    async fn rule_57_the_bounds_of_the_forms_of_a_length_5_2(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            for length in [0, 1, 125, 126, 127, 65535, 65536] {
                let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
                let frame = Frame::new(BINARY, payload.clone());
                // More than the stream holds: both have to be at work. The peer checks the form.
                let (item, ()) = join(socket.next(), peer.send(frame.clone())).await;
                let message = item.unwrap().unwrap();
                assert!(message == Message::binary(payload), "{length}");
                let (sent, answer) = join(socket.send(message), peer.frame()).await;
                sent.unwrap();
                assert!(answer == Some(frame), "{length}");
            }
        }
    }
}
