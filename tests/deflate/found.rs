//! Faults that fuzzing and reading have found.

use anyws::{DeflateConfig, Message, Takeover, testing};
use support::{config, runtimes};

use crate::echo::json;

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
