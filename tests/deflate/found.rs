//! Faults that fuzzing and reading have found.

use anyws::{DeflateConfig, Message, Takeover, testing};
use support::{config, runtimes};

use crate::echo::{json, noise};

runtimes! {
    /// Each message stops the compression of the one before, which is then sent as it is: the
    /// compressor of the socket must not refer to that.
    async fn a_message_that_was_given_up_in_the_middle_leaves_nothing_behind(runtime) {
        for takeover in [Takeover::None, Takeover::Window, Takeover::Dedicated] {
            let deflate = DeflateConfig::new()
                .send_takeover(takeover)
                .receive_takeover(true);
            let config = config(&runtime).set_deflate(deflate);
            let (mut client, mut server) = testing::pair_with(&config).unwrap();
            let sender = server.sender();
            let messages = [json(0, 150_000), json(1, 10_000), json(2, 300)];
            for message in &messages {
                sender.try_send(message.as_str()).unwrap();
            }
            // A Close is sent behind all that is queued, so all of it is taken at once.
            let receive = async {
                for message in messages {
                    let received = client.next().await.unwrap().unwrap();
                    assert!(received == Message::text(message), "{takeover:?}");
                }
                client.close(None).await
            };
            let (closed, _) = futures::join!(server.close(None), receive);
            closed.unwrap();
        }
    }
}

runtimes! {
    /// What a message leaves behind in a compressor that gives it up must not meet a later one.
    async fn messages_that_do_not_become_smaller_harm_no_later_ones(runtime) {
        let all = [(1, 12, 200_000), (3, 12, 16_360), (3, 15, 16_380), (9, 9, 16_360)];
        for (level, bits, length) in all {
            for takeover in [Takeover::None, Takeover::Window, Takeover::Dedicated] {
                let deflate = DeflateConfig::new()
                    .send_takeover(takeover)
                    .receive_takeover(true)
                    .send_window_bits(bits)
                    .level(level);
                let config = config(&runtime).set_deflate(deflate);
                let (mut client, mut server) = testing::pair_with(&config).unwrap();
                // Those that do not become smaller are given up as soon as that is clear.
                let larger = (0..10).map(|round| Message::binary(noise(round, length)));
                for message in larger.chain([Message::text(json(0, 300))]) {
                    let (sent, received) =
                        futures::join!(server.send(message.clone()), client.next());
                    sent.unwrap();
                    let received = received.unwrap().unwrap();
                    assert!(received == message, "{takeover:?}, level {level}");
                }
            }
        }
    }
}
