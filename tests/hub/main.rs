//! The hub: topics of one process, and topics that span several.

use std::sync::Arc;

use anyws::{Message, QueueConfig, Runtime, Sender, WebSocket, WebSocketConfig, WhenFull, testing};

mod backplane;
mod bursts;
mod delivered;
mod disconnecting;
mod events;
mod latest;
mod members;
mod memory;
mod model;
mod order;
#[cfg(all(feature = "redis", any(feature = "rt-tokio", feature = "rt-smol")))]
mod redis;
mod redis_server;
mod regressions;
mod wire;

/// A member of a topic: its socket, and the peer that reads.
struct Member {
    socket: WebSocket,
    sender: Sender,
    client: WebSocket,
}

impl Member {
    fn new(runtime: &Arc<dyn Runtime>) -> Self {
        Self::with_queue(runtime, QueueConfig::default())
    }

    fn with_queue(runtime: &Arc<dyn Runtime>, queue: QueueConfig) -> Self {
        let config = WebSocketConfig::new().set_runtime(Arc::clone(runtime));
        let (client, mut socket) = testing::pair_with(&config).unwrap();
        let sender = socket.sender_with(queue);
        Self {
            socket,
            sender,
            client,
        }
    }

    /// Returns how many messages are in the queue.
    fn queued(&self) -> usize {
        self.sender.buffered().messages
    }

    /// Sends what is queued, and returns what the peer reads.
    async fn read(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            self.socket.flush().await.unwrap();
            match self.client.next().await.unwrap().unwrap() {
                Message::Text(text) => texts.push(text.to_string()),
                other => panic!("{other:?}"),
            }
        }
        texts
    }
}

fn bounds(messages: usize, when_full: WhenFull) -> QueueConfig {
    QueueConfig::default()
        .messages(messages)
        .when_full(when_full)
}
