//! Servers that do as they are told, for loads that do not go back and forth.
//!
//! A text message is an [`Order`]; messages of bytes are counted and thrown away.

use std::fmt;
use std::sync::LazyLock;

use anyws::Message;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use hyper::body::Bytes;
use tokio::sync::broadcast::{self, error::RecvError};

/// What messages that a server makes are filled with.
pub const FILLING: u8 = b'x';

/// Messages that wait for a slow reader before it misses some.
const ROOM: usize = 256;

/// Where messages are published. Its queue knows no runtime.
static PUBLISHED: LazyLock<broadcast::Sender<Bytes>> =
    LazyLock::new(|| broadcast::Sender::new(ROOM));

/// What a server is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Tell how many messages have come since this was asked for the last time.
    Count,
    /// Send messages of one length.
    Send { count: usize, length: usize },
    /// Send messages of one length to each connection that has joined.
    Publish { count: usize, length: usize },
    /// From now on send what is published. It is answered by itself, once that is so.
    Join,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => f.write_str("count"),
            Self::Send { count, length } => write!(f, "send {count} {length}"),
            Self::Publish { count, length } => write!(f, "publish {count} {length}"),
            Self::Join => f.write_str("join"),
        }
    }
}

impl Order {
    /// Reads an order; `None` if it is none.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split(' ').collect();
        Some(match words[..] {
            ["count"] => Self::Count,
            ["send", count, length] => Self::Send {
                count: count.parse().ok()?,
                length: length.parse().ok()?,
            },
            ["publish", count, length] => Self::Publish {
                count: count.parse().ok()?,
                length: length.parse().ok()?,
            },
            ["join"] => Self::Join,
            _ => return None,
        })
    }
}

/// How a library calls its messages.
#[derive(Clone, Copy, Debug)]
pub struct Words<M> {
    /// The text of a message, if it is one of text.
    pub as_text: fn(&M) -> Option<&str>,
    pub text: fn(String) -> M,
    pub binary: fn(Bytes) -> M,
}

/// Those of tungstenite, which are anyws' and async-tungstenite's too.
pub const TUNGSTENITE: Words<Message> = Words {
    as_text: |message| match message {
        Message::Text(text) => Some(text),
        _ => None,
    },
    text: Message::text,
    binary: Message::Binary,
};

/// Follows orders, until the connection ends or what comes is none.
pub async fn obey<S, M, E>(mut socket: S, words: &Words<M>)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    let mut received = 0_usize;
    while let Some(Ok(message)) = socket.next().await {
        let Some(text) = (words.as_text)(&message) else {
            received += 1;
            continue;
        };
        let Some(order) = Order::read(text) else {
            return;
        };
        let done = match order {
            Order::Count => {
                let count = std::mem::take(&mut received).to_string();
                socket.send((words.text)(count)).await
            }
            Order::Send { count, length } => {
                let payload = filled(length);
                send_all(&mut socket, words, std::iter::repeat_n(payload, count)).await
            }
            Order::Publish { count, length } => {
                let payload = filled(length);
                for _ in 0..count {
                    // An error means that nobody has joined, which the load would see.
                    let _ = PUBLISHED.send(payload.clone());
                }
                Ok(())
            }
            Order::Join => return listen(socket, words).await,
        };
        if done.is_err() {
            return;
        }
    }
}

/// Sends what is published, and misses some of it where the peer reads too slowly.
async fn listen<S, M, E>(mut socket: S, words: &Words<M>)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    let mut published = PUBLISHED.subscribe();
    let joined = (words.text)(Order::Join.to_string());
    if socket.send(joined).await.is_err() {
        return;
    }
    loop {
        let first = match published.recv().await {
            Ok(first) => first,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let more = std::iter::from_fn(|| published.try_recv().ok());
        let payloads = std::iter::once(first).chain(more);
        if send_all(&mut socket, words, payloads).await.is_err() {
            return;
        }
    }
}

/// Buffers all, and flushes once.
///
/// # Errors
///
/// Those of the sink.
pub async fn send_all<S, M>(
    socket: &mut S,
    words: &Words<M>,
    payloads: impl Iterator<Item = Bytes>,
) -> Result<(), S::Error>
where
    S: Sink<M> + Unpin,
{
    for payload in payloads {
        socket.feed((words.binary)(payload)).await?;
    }
    socket.flush().await
}

fn filled(length: usize) -> Bytes {
    vec![FILLING; length].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let (count, length) = (3, 40);
        for order in [
            Order::Count,
            Order::Send { count, length },
            Order::Publish { count, length },
            Order::Join,
        ] {
            assert_eq!(Order::read(&order.to_string()), Some(order));
        }
        for text in ["", "send", "send 1 x", "join 1"] {
            assert_eq!(Order::read(text), None, "{text}");
        }
    }
}
