//! Messages of every kind come through both ways, whatever was agreed.

use anyws::{DeflateConfig, Message, Takeover, testing};
use support::{config, runtimes};

/// All ways to compress: takeover in either direction, and windows.
pub(crate) fn settings() -> impl Iterator<Item = DeflateConfig> {
    let takeovers = [Takeover::None, Takeover::Window, Takeover::Dedicated];
    takeovers.into_iter().flat_map(|takeover| {
        [(9, 1), (10, 3), (12, 6), (15, 9)]
            .into_iter()
            .flat_map(move |(bits, level)| {
                [false, true].map(|takes_over| {
                    DeflateConfig::new()
                        .send_takeover(takeover)
                        .receive_takeover(takes_over)
                        .send_window_bits(bits)
                        .receive_window_bits(bits)
                        .level(level)
                        .threshold(32)
                })
            })
    })
}

/// Text like that of an API, each message different from the others.
pub(crate) fn json(number: usize, length: usize) -> String {
    let parts = (0..).map(|part| {
        let id = (number * 7919 + part * 104_729) % 1_000_003;
        format!("{{\"id\":{id},\"name\":\"Jürgen {part}\"}},")
    });
    parts.take(length.div_ceil(24)).collect()
}

/// Bytes in which nothing repeats.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(byte).take(length).collect()
}

fn messages() -> Vec<Message> {
    let mut messages = Vec::new();
    for round in 0..6 {
        for length in [1, 31, 32, 300, 4096, 70_000] {
            messages.push(Message::text(json(round, length)));
            messages.push(Message::binary(noise(round as u64 + 1, length)));
        }
        messages.push(Message::text(""));
        messages.push(Message::binary(vec![7; 100_000]));
        messages.push(Message::binary(noise(9, 300)));
    }
    messages
}

runtimes! {
    async fn every_message_comes_back_whatever_was_agreed(runtime) {
        for deflate in settings() {
            let config = config(&runtime).set_deflate(deflate);
            let (mut client, mut server) = testing::pair_with(&config).unwrap();
            assert!(client.is_compressed() && server.is_compressed());
            let echo = async {
                while let Some(message) = server.next_data().await {
                    server.feed(message.unwrap()).await.unwrap();
                }
            };
            let send = async {
                for message in messages() {
                    client.send(message.clone()).await.unwrap();
                    assert_eq!(client.next().await.unwrap().unwrap(), message, "{deflate:?}");
                }
                client.close(None).await.unwrap();
            };
            futures::join!(echo, send);
        }
    }
}
