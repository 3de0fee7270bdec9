//! Rule 68: limits hold for the plaintext, which is checked as it comes out.

use anyws::{DeflateConfig, Error, Message, ProtocolError, TransportConfig, WebSocketConfig};
use support::{
    frames::{BINARY, CONTINUATION, Frame, Role, TEXT},
    runtimes,
    sockets::{now, with_limits},
};

use crate::{
    codec::{RSV1, Sender, deflated, frame},
    echo::noise,
};

const LIMIT: usize = 100_000;

fn deflate() -> DeflateConfig {
    DeflateConfig::new().receive_takeover(true)
}

/// Receives the next message while the socket takes its turns.
async fn outcome(config: &WebSocketConfig, frames: Vec<Frame>) -> Result<Message, ProtocolError> {
    let (mut socket, mut peer) = Role::Server.with_peer(config);
    let send = async {
        for frame in frames {
            peer.send(frame).await;
        }
    };
    let (next, ()) = futures::join!(socket.next(), send);
    match next.expect("neither is the end") {
        Ok(message) => Ok(message),
        Err(Error::Protocol(error)) => {
            let close = peer.frame().await.unwrap();
            assert_eq!(close.code(), u16::from(error.close_code()));
            Err(error)
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// Cuts a compressed message into fragments.
fn fragments(payload: &[u8], length: usize) -> Vec<Frame> {
    let count = payload.len().div_ceil(length);
    payload
        .chunks(length)
        .enumerate()
        .map(|(at, piece)| {
            let frame = match at {
                0 => Frame::new(BINARY, piece).with_bits(RSV1),
                _ => Frame::new(CONTINUATION, piece),
            };
            if at + 1 < count {
                frame.unfinished()
            } else {
                frame
            }
        })
        .collect()
}

runtimes! {
    async fn rule_68_the_limit_is_one_on_plaintext_to_the_byte_rfc7692_8(runtime) {
        let config = with_limits(&runtime, |limits| limits.max_message_size(LIMIT));
        let config = config.set_deflate(deflate());
        for plain in [vec![b'a'; LIMIT + 1], noise(1, LIMIT + 1)] {
            for length in [LIMIT - 1, LIMIT, LIMIT + 1] {
                let plain = &plain[..length];
                let payload = deflated(plain);
                for frames in [
                    vec![Frame::new(BINARY, &payload[..]).with_bits(RSV1)],
                    fragments(&payload, payload.len().div_ceil(7)),
                ] {
                    let outcome = outcome(&config, frames).await;
                    if length > LIMIT {
                        let is_too_large = matches!(
                            outcome,
                            Err(ProtocolError::TooLarge { size, limit: LIMIT }) if size > LIMIT
                        );
                        assert!(is_too_large, "{outcome:?}");
                    } else {
                        assert_eq!(outcome, Ok(Message::binary(plain.to_vec())));
                    }
                }
            }
        }
    }

    async fn rule_68_a_small_frame_that_grows_above_the_limit_is_1009_rfc7692_8(runtime) {
        let bomb = deflated(&vec![0; 64 << 20]);
        assert!(bomb.len() < 70_000);
        let nested = deflated(&[&bomb[..], &vec![0; 10 << 20]].concat());
        for limit in [1, 1000, 1 << 20] {
            let config = with_limits(&runtime, |limits| limits.max_message_size(limit));
            let config = config.set_deflate(deflate());
            for payload in [&bomb, &nested] {
                for opcode in [TEXT, BINARY] {
                    let whole = Frame::new(opcode, &payload[..]).with_bits(RSV1);
                    let outcome = outcome(&config, vec![whole]).await;
                    let is_utf8 = opcode == BINARY || payload == &bomb;
                    match outcome {
                        // Where the limit is that small, the header is enough.
                        Err(ProtocolError::TooLarge { limit: found, .. }) => {
                            assert!([limit, limit + limit / 8 + 1024].contains(&found));
                        }
                        // Only at the limit it is known that it is too large.
                        Err(ProtocolError::InvalidUtf8) => assert!(!is_utf8),
                        other => panic!("{other:?}"),
                    }
                }
                let outcome = outcome(&config, fragments(payload, 1000)).await;
                assert!(matches!(outcome, Err(ProtocolError::TooLarge { .. })), "{outcome:?}");
            }
        }
    }

    async fn rule_68_a_frame_that_is_too_long_for_it_is_refused_by_its_header_rfc7692_8(runtime) {
        let config = with_limits(&runtime, |limits| limits.max_message_size(LIMIT));
        let config = config.set_deflate(deflate());
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        let longest = LIMIT + LIMIT / 8 + 1024;
        let bytes = Frame::new(BINARY, vec![0; longest + 1]).with_bits(RSV1).masked();
        now(peer.send_bytes(&bytes[..14]));
        let error = now(socket.next()).unwrap().unwrap_err();
        let Error::Protocol(error) = error else { panic!("{error:?}") };
        assert_eq!(error, ProtocolError::TooLarge { size: longest + 1, limit: longest });
        assert_eq!(now(peer.frame()).unwrap().code(), 1009);
    }

    async fn the_limit_on_frames_is_one_on_compressed_bytes(runtime) {
        let limits = |limits: TransportConfig| limits.max_frame_size(1000);
        let config = with_limits(&runtime, limits).set_deflate(deflate());
        let small = vec![b'a'; 100_000];
        assert_eq!(outcome(&config, vec![frame(BINARY, &small)]).await, Ok(Message::binary(small)));
        let large = deflated(&noise(1, 1001));
        for part in [&large[..1000], &large[..1001]] {
            let begun = Frame::new(BINARY, part).with_bits(RSV1).unfinished();
            let rest = Frame::new(CONTINUATION, &large[part.len()..]);
            let outcome = outcome(&config, vec![begun, rest]).await;
            let is_too_large = outcome == Err(ProtocolError::TooLarge { size: 1001, limit: 1000 });
            assert_eq!(is_too_large, part.len() > 1000, "{outcome:?}");
        }
    }

    async fn blocks_without_data_do_not_hold_up_a_socket(runtime) {
        // Each has five bytes, and gives nothing.
        let config = with_limits(&runtime, |limits| limits.max_message_size(LIMIT));
        let config = config.set_deflate(deflate());
        let blocks = [0, 0, 0, 0xff, 0xff].repeat(20_000);
        let payload = [&blocks[..], &deflated(b"end")].concat();
        for frames in [
            vec![Frame::new(TEXT, &payload[..]).with_bits(RSV1)],
            fragments(&payload, 10),
        ] {
            let expected = match frames.len() {
                1 => Message::text("end"),
                _ => Message::binary("end"),
            };
            assert_eq!(outcome(&config, frames).await, Ok(expected));
        }
    }

    async fn a_message_may_be_cut_anywhere(runtime) {
        let config = with_limits(&runtime, |limits| limits).set_deflate(deflate());
        let mut sender = Sender::new(6, 12);
        let plain = [&noise(3, 90_000)[..], &vec![1; 90_000], &noise(4, 90_000)].concat();
        let payload = sender.message(&plain);
        for length in [3, 999, 16 * 1024, 65_535, 65_536, 65_537, 100_000] {
            let outcome = outcome(&config, fragments(&payload, length)).await;
            assert_eq!(outcome, Ok(Message::binary(plain.clone())), "{length}");
        }
    }
}
