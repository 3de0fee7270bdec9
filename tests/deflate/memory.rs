//! What a socket holds: nothing while it is idle, and in a message no more than what came.

use allocation_counter::measure;
use anyws::{DeflateConfig, Message, Takeover, WebSocket, WebSocketConfig, testing};
use support::{
    frames::{BINARY, Frame, Peer, Role, TEXT},
    sockets::{assert_waits, now, received},
    still::Still,
};

use crate::{
    codec::{RSV1, Sender, deflated, frame, soon},
    echo::{json, noise},
};

/// No task of a dropped socket lives on, whose memory another thread would free.
fn config(deflate: Option<DeflateConfig>) -> WebSocketConfig {
    Still::default().config().set_deflate(deflate)
}

fn takeover() -> DeflateConfig {
    DeflateConfig::new()
        .send_takeover(Takeover::Window)
        .receive_takeover(true)
}

/// Returns how many bytes of memory a value holds.
fn held<T>(make: impl FnOnce() -> T) -> (u64, T) {
    let (held, value) = change(make);
    (u64::try_from(held).unwrap(), value)
}

/// Returns how many bytes more are held after a call.
fn change<T>(make: impl FnOnce() -> T) -> (i64, T) {
    let mut value = None;
    let info = measure(|| value = Some(make()));
    (info.bytes_current, value.unwrap())
}

/// Exchanges messages in both directions.
fn used(config: &WebSocketConfig, messages: usize) -> (WebSocket, WebSocket) {
    let (mut client, mut server) = testing::pair_with(config).unwrap();
    // It is sent as it is, and the streams have their size.
    let noise = Message::binary(noise(1, 4000));
    soon(client.send(noise.clone())).unwrap();
    assert_eq!(soon(server.next()).unwrap().unwrap(), noise);
    soon(server.send(noise.clone())).unwrap();
    assert_eq!(soon(client.next()).unwrap().unwrap(), noise);
    for number in 0..messages {
        let message = Message::text(json(number, 2000));
        soon(client.send(message.clone())).unwrap();
        assert_eq!(soon(server.next()).unwrap().unwrap(), message);
        soon(server.send(message.clone())).unwrap();
        assert_eq!(soon(client.next()).unwrap().unwrap(), message);
    }
    // Polled once more, as a handler does that waits.
    assert_waits(&mut client);
    assert_waits(&mut server);
    (client, server)
}

/// Runs a test on a thread of its own, whose codecs and buffers are those of a warm server.
fn on_a_warm_thread(test: impl FnOnce() + Send + 'static) {
    support::bounded(|| {
        for deflate in [DeflateConfig::new(), takeover()] {
            drop(used(&config(Some(deflate)), 5));
            drop(used(&config(Some(deflate)), 5));
        }
        drop(used(&config(None), 5));
        test();
    });
}

#[test]
fn an_idle_socket_that_agreed_holds_64_bytes_more_after_use() {
    on_a_warm_thread(|| {
        let (plain, _sockets) = held(|| used(&config(None), 10));
        let (agreed, _sockets) = held(|| used(&config(Some(DeflateConfig::new())), 10));
        // Both ends of a pair.
        let more = agreed - plain;
        assert!((2..=128).contains(&more), "{more} bytes for two sockets");
    });
}

#[test]
fn an_idle_socket_with_takeover_holds_its_windows_after_use() {
    on_a_warm_thread(|| {
        let (plain, _sockets) = held(|| used(&config(None), 20));
        let (agreed, _sockets) = held(|| used(&config(Some(takeover())), 20));
        let more = (agreed - plain) / 2;
        // 4 KiB in each direction.
        assert!(
            (8192..=8192 + 512).contains(&more),
            "{more} bytes for a socket"
        );
        // Histories grow with use.
        let (agreed, _sockets) = held(|| used(&config(Some(takeover())), 0));
        let (plain, _sockets) = held(|| used(&config(None), 0));
        assert!(
            agreed - plain < 512,
            "{} bytes before any use",
            agreed - plain
        );
    });
}

#[test]
fn a_socket_in_the_middle_of_a_compressed_message_holds_what_came_and_2_kib() {
    on_a_warm_thread(|| {
        let payload = deflated(&noise(1, 200_000));
        for sent in [1, 100, 1000, 3000, 10_000, 20_000, 60_000] {
            let frame = Frame::new(BINARY, &payload[..]).with_bits(RSV1);
            // The header of 14 bytes, and that much of the payload.
            let bytes = frame.masked()[..14 + sent].to_vec();
            let wait = |deflate: Option<DeflateConfig>, bytes: &[u8]| {
                let (mut socket, mut peer) = Role::Server.with_peer(&config(deflate));
                now(peer.send_bytes(bytes));
                assert_waits(&mut socket);
                (socket, peer)
            };
            let (idle, _sockets) = held(|| wait(Some(takeover()), &[]));
            let (waiting, _sockets) = held(|| wait(Some(takeover()), &bytes));
            // The stream of this test keeps its buffer of what was sent.
            let (stream, _streams) =
                held(|| wait(None, &Frame::new(BINARY, vec![0; 1]).masked()[..1]));
            let more = waiting - idle.min(stream);
            let most = sent as u64 + 2048;
            let of_the_stream = stream_memory(bytes.len());
            assert!(more <= most + of_the_stream, "{more} bytes after {sent}");
        }
    });
}

/// Returns what a stream of these tests keeps after that many bytes went through it.
fn stream_memory(length: usize) -> u64 {
    let bytes = vec![0; length];
    held(|| {
        let (near, far) = testing::duplex();
        let mut socket = testing::server(far, &WebSocketConfig::new()).unwrap();
        let mut peer = Peer::new(near);
        // Pongs, which are taken one by one and leave nothing behind.
        for chunk in bytes.chunks(100) {
            now(peer.send(Frame::new(10, chunk)));
        }
        while let Some(next) = futures::FutureExt::now_or_never(socket.next()) {
            next.unwrap().unwrap();
        }
        (socket, peer)
    })
    .0
}

#[test]
fn a_socket_that_has_sent_its_close_holds_no_compressor() {
    on_a_warm_thread(|| {
        let deflate = takeover().send_takeover(Takeover::Dedicated);
        let (before, (mut client, server)) = held(|| used(&config(Some(deflate)), 3));
        assert!(before > 2 * 250_000, "{before} bytes for two sockets");
        let (closed, ()) = change(|| {
            let mut close = std::pin::pin!(client.close(None));
            assert!(futures::FutureExt::now_or_never(&mut close).is_none());
        });
        assert!(closed < -250_000, "{closed} bytes");
        drop(server);
    });
}

#[test]
fn a_bomb_costs_the_limit_and_256_kib() {
    const LIMIT: usize = 16 << 20;
    on_a_warm_thread(|| {
        let bomb = frame(BINARY, &vec![0; 20 << 20]).masked();
        let limits = anyws::TransportConfig::default().max_message_size(LIMIT);
        let config = config(Some(takeover())).set_transport(limits);
        let (mut socket, mut peer) = Role::Server.with_roomy_peer(&config);
        now(peer.send_bytes(&bomb));
        let info = measure(|| {
            let error = loop {
                match futures::FutureExt::now_or_never(socket.next()) {
                    Some(Some(Err(error))) => break error,
                    Some(other) => panic!("{other:?}"),
                    None => {}
                }
            };
            assert!(matches!(error, anyws::Error::Protocol(_)), "{error:?}");
        });
        // A buffer that grows counts twice here, as its old and its new memory.
        let most = 2 * LIMIT as u64 + 256 * 1024;
        assert!(info.bytes_max <= most, "{} bytes at most", info.bytes_max);
        // All of it is given back, but for what a thread keeps.
        assert!(
            info.bytes_current <= 64 * 1024,
            "{} bytes are left",
            info.bytes_current
        );
        assert_eq!(now(peer.frame()).unwrap().code(), 1009);
    });
}

#[test]
fn a_thread_keeps_a_bounded_number_of_codecs() {
    support::bounded(|| {
        let info = measure(|| {
            let mut sockets = Vec::new();
            for level in 1..=9 {
                for bits in 9..=15 {
                    let deflate = takeover().level(level).send_window_bits(bits);
                    let (mut client, mut server) =
                        testing::pair_with(&config(Some(deflate))).unwrap();
                    for number in 0..3 {
                        let message = Message::text(json(number, 500));
                        soon(client.send(message.clone())).unwrap();
                        assert_eq!(soon(server.next()).unwrap().unwrap(), message);
                    }
                    sockets.push((client, server));
                }
            }
            // Many messages in the middle at once, each with a decompressor.
            let digits = |byte: u8| [b'a' + byte % 16, b'a' + byte / 16];
            let hex: Vec<u8> = noise(1, 200_000).into_iter().flat_map(digits).collect();
            let half = &deflated(&hex)[..100_000];
            let half = Frame::new(TEXT, half).with_bits(RSV1).unfinished();
            let begun: Vec<_> = (0..20)
                .map(|_| {
                    let (mut socket, mut peer) =
                        Role::Server.with_roomy_peer(&config(Some(takeover())));
                    now(peer.send(half.clone()));
                    assert_waits(&mut socket);
                    (socket, peer)
                })
                .collect();
            drop((sockets, begun));
        });
        // 4 compressors, 2 decompressors and blocks, and the buffers of any thread that reads.
        let most = 1_800_000 + 700_000;
        assert!(
            info.bytes_current < most,
            "{} bytes are kept",
            info.bytes_current
        );
    });
}

#[test]
fn a_thread_that_only_drops_sockets_keeps_no_codec() {
    support::bounded(|| {
        let payload = deflated(&noise(1, 200_000));
        let (mut socket, mut peer) = Role::Server.with_roomy_peer(&config(Some(takeover())));
        let half = Frame::new(BINARY, &payload[..100_000])
            .with_bits(RSV1)
            .unfinished();
        now(peer.send(half));
        assert_waits(&mut socket);
        let first_use = || {
            let (mut socket, mut peer) = Role::Server.with_roomy_peer(&config(Some(takeover())));
            now(peer.send(frame(TEXT, b"hello")));
            measure(|| drop(received(&mut socket))).bytes_total
        };
        std::thread::scope(|threads| {
            let used = threads.spawn(|| {
                drop(socket);
                first_use()
            });
            // It has to make a decompressor.
            let used = used.join().unwrap();
            assert!(used > 47_000, "{used} bytes");
        });
    });
}

#[test]
fn the_result_of_a_sender_is_as_long_as_it_is() {
    // A message that waits for a slow peer holds its own length, and no spare capacity.
    on_a_warm_thread(|| {
        let (mut socket, _peer) = Role::Server.with_roomy_peer(&config(Some(DeflateConfig::new())));
        let plain = json(1, 400_000);
        let length = Sender::new(3, 15).message(plain.as_bytes()).len() as u64;
        let message = Message::text(plain);
        let info = measure(|| {
            let mut fed = socket.feed(message);
            while futures::FutureExt::now_or_never(&mut fed).is_none() {}
            drop(fed);
            while futures::FutureExt::now_or_never(socket.flush()).is_none() {}
        });
        assert!(
            info.bytes_current <= i64::try_from(2 * length + 4096).unwrap(),
            "{info:?}"
        );
    });
}
