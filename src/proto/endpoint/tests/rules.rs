//! The rules 39 to 57 of conformance/RULES.md.

use std::fmt::Write;

use super::{
    BINARY, CLOSE, CONTINUATION, Endpoint, FIN, PING, PONG, RecvState, TEXT, answer, client,
    close_payload, fails_with, frame, outgoing, receive, server, written,
};
use crate::{
    config::TransportConfig,
    message::{Bytes, CloseCode, CloseFrame, Message, Role},
    proto::{InvalidMessage, Outgoing, ProtocolError},
};

#[test]
fn rule_39_control_frames_are_short_and_whole() {
    use ProtocolError::{ControlTooLong, FragmentedControl};
    for opcode in [CLOSE, PING, PONG] {
        fails_with(&frame(opcode, ""), 1002, |it| *it == FragmentedControl);
        fails_with(&frame(FIN | opcode, [0; 126]), 1002, |it| {
            *it == ControlTooLong
        });
    }
    let received = receive(&mut server(), &frame(FIN | PING, [0; 125]));
    assert_eq!(received, [Ok(Message::Ping(vec![0; 125].into()))]);
}

#[test]
fn rule_40_a_control_frame_between_fragments_is_handled_at_once() {
    let mut endpoint = server();
    let first = [frame(TEXT, "a"), frame(FIN | PING, "now")].concat();
    let received = receive(&mut endpoint, &first);
    assert_eq!(received, [Ok(Message::Ping("now".into()))]);
    assert_eq!(written(&mut endpoint), answer(PONG, "now"));
    let received = receive(&mut endpoint, &frame(FIN | CONTINUATION, "b"));
    assert_eq!(received, [Ok(Message::text("ab"))]);
}

#[test]
fn rules_41_and_42_fragments_are_in_order() {
    use ProtocolError::{ExpectedContinuation, UnexpectedContinuation};
    let continuation = frame(FIN | CONTINUATION, "");
    fails_with(&continuation, 1002, |it| *it == UnexpectedContinuation);
    let two = [frame(TEXT, ""), frame(FIN | TEXT, "")].concat();
    fails_with(&two, 1002, |it| *it == ExpectedContinuation);
}

#[test]
fn rule_43_text_fails_at_its_first_wrong_byte() {
    let mut unfinished = frame(TEXT, "ab\u{e9}");
    let last = unfinished.len() - 1;
    unfinished[last] = b'!';
    // The header announces one byte more than follows.
    unfinished[1] += 1;
    let mut endpoint = server();
    let received = receive(&mut endpoint, &unfinished);
    assert_eq!(received, [Err(ProtocolError::InvalidUtf8)]);
    assert_eq!(written(&mut endpoint)[2..4], 1007u16.to_be_bytes());
}

#[test]
fn rules_44_and_45_closes_are_well_formed() {
    use ProtocolError::{InvalidClose, InvalidUtf8};
    fails_with(&frame(FIN | CLOSE, [3]), 1002, |it| *it == InvalidClose);
    let reason = [&1000u16.to_be_bytes()[..], &[0xff]].concat();
    fails_with(&frame(FIN | CLOSE, reason), 1007, |it| *it == InvalidUtf8);
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        let bytes = frame(FIN | CLOSE, close_payload(code, ""));
        fails_with(&bytes, 1002, |it| *it == InvalidClose);
    }
}

#[test]
fn rule_46_what_may_not_be_sent_is_refused() {
    let close = |code: u16, reason: &'static str| {
        let (code, reason) = (code.into(), reason.into());
        server().close(Some(CloseFrame { code, reason }))
    };
    for code in [0, 1004, 1005, 1006, 1015, 2999, 5000] {
        assert_eq!(close(code, ""), Err(InvalidMessage::CloseCode(code)));
    }
    let long = "x".repeat(124).leak();
    assert_eq!(
        close(1000, long),
        Err(InvalidMessage::CloseReasonTooLong(124))
    );
    assert_eq!(close(1000, &long[..123]), Ok(()));
    let ping = Outgoing::new(Message::Ping(vec![0; 126].into()));
    assert_eq!(ping.unwrap_err(), InvalidMessage::ControlTooLong(126));
}

#[test]
fn rule_47_pings_are_answered_until_a_close() {
    let mut endpoint = server();
    let pings = [frame(FIN | PING, "1"), frame(FIN | PING, "2")].concat();
    assert_eq!(receive(&mut endpoint, &pings).len(), 2);
    let answers = [answer(PONG, "1"), answer(PONG, "2")].concat();
    assert_eq!(written(&mut endpoint), answers);
    endpoint.close(None).unwrap();
    assert_eq!(receive(&mut endpoint, &frame(FIN | PING, "3")).len(), 1);
    assert_eq!(written(&mut endpoint), answer(CLOSE, ""));
}

#[test]
fn rule_47_of_a_peer_that_does_not_read_the_latest_ping_is_answered_and_reading_pauses() {
    let mut endpoint = server();
    let mut count = 0;
    while !endpoint.is_paused() {
        let mut payload = String::new();
        write!(payload, "{count:0125}").unwrap();
        receive(&mut endpoint, &frame(FIN | PING, payload));
        count += 1;
        assert!(endpoint.unwritten() <= 4096);
        assert!(count < 2000, "128 KiB of pings are enough");
    }
    assert!(!endpoint.has_pong_room());
    assert!(
        endpoint.yields_for_pongs(),
        "once, before the peer is blamed"
    );
    assert!(!endpoint.yields_for_pongs());
    let latest = format!("{:0125}", count - 1);
    assert!(written(&mut endpoint).ends_with(latest.as_bytes()));
    assert!(!endpoint.is_paused() && endpoint.has_pong_room());
}

#[test]
fn rule_47_a_waiting_pong_goes_before_our_own_close_and_after_the_peers_there_is_none() {
    let fill = |endpoint: &mut Endpoint| {
        while endpoint.has_pong_room() {
            receive(endpoint, &frame(FIN | PING, [b'x'; 125]));
        }
        receive(endpoint, &frame(FIN | PING, "waits"));
    };
    let mut endpoint = server();
    fill(&mut endpoint);
    endpoint.close(None).unwrap();
    let end = [answer(PONG, "waits"), answer(CLOSE, "")].concat();
    assert!(written(&mut endpoint).ends_with(&end));
    let mut endpoint = server();
    fill(&mut endpoint);
    receive(&mut endpoint, &frame(FIN | CLOSE, ""));
    let end = [answer(PONG, [b'x'; 125]), answer(CLOSE, "")].concat();
    assert!(written(&mut endpoint).ends_with(&end));
}

#[test]
fn rule_48_a_pong_that_nobody_asked_for_is_harmless() {
    let mut endpoint = server();
    let received = receive(&mut endpoint, &frame(FIN | PONG, "so"));
    assert_eq!(received, [Ok(Message::Pong("so".into()))]);
    assert_eq!(endpoint.unwritten(), 0);
    assert!(endpoint.can_send());
}

#[test]
fn rule_49_nothing_is_sent_after_a_close() {
    let mut endpoint = server();
    endpoint.send(&mut outgoing("before"));
    endpoint.close(None).unwrap();
    assert!(!endpoint.can_send());
    endpoint.close(None).unwrap();
    receive(&mut endpoint, &frame(FIN | PING, ""));
    receive(&mut endpoint, &frame(FIN | CLOSE, ""));
    let all = [answer(TEXT, "before"), answer(CLOSE, "")].concat();
    assert_eq!(written(&mut endpoint), all);
}

#[test]
fn rule_50_a_close_is_answered_by_its_code() {
    for payload in [vec![], close_payload(1000, ""), close_payload(4321, "bye")] {
        let mut endpoint = server();
        let received = receive(&mut endpoint, &frame(FIN | CLOSE, &payload));
        assert!(matches!(received[..], [Ok(Message::Close(_))]));
        assert_eq!(written(&mut endpoint), answer(CLOSE, &payload));
        let code = endpoint.close_frame().map(|frame| u16::from(frame.code));
        let expected = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        assert_eq!(code, expected);
    }
}

#[test]
fn a_close_that_a_call_discards_is_kept_and_returned_once() {
    let mut endpoint = server();
    assert_eq!(endpoint.take_pending_close(), None);
    receive(&mut endpoint, &frame(FIN | CLOSE, close_payload(1001, "")));
    assert_eq!(endpoint.take_pending_close(), None);
    endpoint.keep_close_pending();
    let close = endpoint.take_pending_close();
    let is_away = |it: &CloseFrame| it.code == CloseCode::Away;
    assert!(matches!(close, Some(Message::Close(Some(frame))) if is_away(&frame)));
    assert_eq!(endpoint.take_pending_close(), None);
}

#[test]
fn rules_51_and_52_the_server_ends_tcp_and_a_client_waits_for_that() {
    let (mut server, mut client) = (server(), client());
    assert!(!server.ends_tcp_at_once() && !client.ends_tcp_at_once());
    client.close(None).unwrap();
    receive(&mut server, &written(&mut client));
    let mut answer = written(&mut server);
    client.receive::<ProtocolError>(&mut answer, &mut None);
    assert!(server.has_received_close() && client.has_received_close());
    assert!(server.ends_tcp_at_once() && server.ends_tcp_first());
    assert!(!client.ends_tcp_at_once() && !client.ends_tcp_first());
    let mut alone = self::client();
    alone.stop_receiving();
    assert!(alone.ends_tcp_first(), "no Close of the server's has come");
    let mut failed = self::client();
    let mut masked = frame(FIN | TEXT, "a");
    failed.receive::<ProtocolError>(&mut masked, &mut None);
    assert_eq!(failed.state().recv, RecvState::Failed);
    assert!(
        !failed.has_received_close(),
        "a failure is no closing handshake"
    );
    assert!(!failed.ends_tcp_at_once() && failed.ends_tcp_first());
}

#[test]
fn rule_53_a_failure_is_reported_once_and_no_pong_follows() {
    let mut endpoint = server();
    let pings = [frame(FIN | PING, "a"), frame(FIN | 3, "")].concat();
    let received = receive(&mut endpoint, &pings);
    assert!(matches!(
        received[..],
        [Ok(_), Err(ProtocolError::UnknownOpcode(3))]
    ));
    let bytes = written(&mut endpoint);
    assert!(bytes.starts_with(&answer(PONG, "a")));
    let close = &bytes[answer(PONG, "a").len()..];
    assert_eq!(
        (close[0], &close[2..4]),
        (FIN | CLOSE, &1002u16.to_be_bytes()[..])
    );
    assert_eq!(
        usize::from(close[1]),
        close.len() - 2,
        "one frame, and nothing behind it"
    );
}

#[test]
fn rule_53_after_our_own_close_a_failure_sends_nothing_more() {
    let mut endpoint = server();
    endpoint.close(None).unwrap();
    receive(&mut endpoint, &frame(FIN | 3, ""));
    assert_eq!(endpoint.state().recv, RecvState::Failed);
    assert_eq!(written(&mut endpoint), answer(CLOSE, ""));
}

#[test]
fn rule_54_frames_and_messages_have_limits() {
    let limits = TransportConfig::default()
        .max_frame_size(1000)
        .max_message_size(1500);
    let cases = [
        (frame(FIN | BINARY, [0; 1001]), 1001),
        (
            [frame(BINARY, [0; 1000]), frame(FIN, [0; 501])].concat(),
            1501,
        ),
    ];
    for (bytes, expected) in cases {
        let mut endpoint = Endpoint::new(Role::Server, &limits, None);
        let received = receive(&mut endpoint, &bytes);
        let [Err(ProtocolError::TooLarge { size, .. })] = received[..] else {
            panic!("{received:?}");
        };
        assert_eq!(size, expected);
        assert_eq!(written(&mut endpoint)[2..4], 1009u16.to_be_bytes());
    }
}

#[test]
fn rule_55_a_message_has_a_limit_of_fragments() {
    let mut endpoint = server();
    let first = receive(&mut endpoint, &frame(BINARY, ""));
    assert!(first.is_empty());
    let fragment = frame(CONTINUATION, "");
    for _ in 1..131_072 {
        let mut bytes = fragment.clone();
        endpoint.receive::<ProtocolError>(&mut bytes, &mut None);
    }
    assert!(endpoint.is_receiving());
    let received = receive(&mut endpoint, &fragment);
    assert_eq!(received, [Err(ProtocolError::TooManyFragments(131_072))]);
    assert_eq!(written(&mut endpoint)[2..4], 1008u16.to_be_bytes());
}

#[test]
fn rule_56_the_end_of_the_stream_sends_nothing() {
    let mut endpoint = server();
    endpoint.stop_receiving();
    assert!(!endpoint.can_send());
    endpoint.close(None).unwrap();
    assert_eq!(endpoint.unwritten(), 0);
    // A Close that arrived is kept.
    let mut endpoint = server();
    receive(&mut endpoint, &frame(FIN | CLOSE, ""));
    endpoint.stop_receiving();
    assert!(endpoint.has_received_close());
}

#[test]
fn rule_57_lengths_at_the_borders_pass_both_ways() {
    for length in [0, 125, 126, 127, 65_535, 65_536] {
        let (mut server, mut client) = (server(), client());
        let message = Message::Binary(Bytes::from(vec![7; length]));
        client.send(&mut outgoing(message.clone()));
        assert_eq!(
            receive(&mut server, &written(&mut client)),
            [Ok(message.clone())]
        );
        server.send(&mut outgoing(message.clone()));
        assert_eq!(receive(&mut client, &written(&mut server)), [Ok(message)]);
    }
}

#[test]
fn what_is_lost_by_a_failed_write_is_known() {
    let mut endpoint = server();
    assert!(!endpoint.has_unwritten_messages());
    endpoint.close(None).unwrap();
    assert!(
        !endpoint.has_unwritten_messages(),
        "a Close alone is no loss"
    );
    let mut endpoint = server();
    receive(&mut endpoint, &frame(FIN | PING, "a"));
    assert!(!endpoint.has_unwritten_messages(), "nor is a pong");
    endpoint.send(&mut outgoing("a message"));
    assert!(endpoint.has_unwritten_messages());
    endpoint.stop_sending();
    assert!(!endpoint.has_unwritten_messages() && !endpoint.can_send());
}

#[test]
fn settings_that_contradict_each_other_make_nobody_wait_forever() {
    let limits = TransportConfig::default()
        .write_buffer_size(1000)
        .max_write_buffer_size(10)
        .fragment_size(0);
    let mut endpoint = Endpoint::new(Role::Server, &limits, None);
    assert!(!endpoint.is_full() && !endpoint.should_write());
    while !endpoint.is_full() {
        endpoint.send(&mut outgoing("a"));
    }
    assert!(
        endpoint.should_write(),
        "senders wait, and nobody would write"
    );
}
