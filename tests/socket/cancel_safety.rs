//! Futures that are dropped at any of their polls: what was accepted arrives once, whole and in
//! order, and nothing that was received is lost.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use anyws::{
    Bytes, CloseCode, CloseFrame, Message, Runtime, TransportConfig, WebSocket, WebSocketConfig,
    testing::{self, duplex},
};
use futures::future::join;
use support::{
    frames::{Frame, PING, PONG, Peer, server},
    runtimes,
    scripted::Scripted,
};

/// How often a future is polled before it is dropped.
const POLLS: [usize; 8] = [1, 2, 3, 5, 8, 13, 21, 100];

/// Polls `future` so many times at most, each time it is woken, and drops it.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Begins an operation again whenever it was dropped, until it completes.
async fn begun_again<T>(polls: usize, mut operation: impl AsyncFnMut() -> T) -> T {
    loop {
        if let Some(output) = dropped_after(polls, operation()).await {
            return output;
        }
    }
}

/// Two ends and how long and how many the messages between them are to be.
struct Case {
    polls: usize,
    one: WebSocket,
    other: WebSocket,
    count: usize,
    length: usize,
}

impl Case {
    /// Messages that are all different, at each of their places.
    fn messages(&self) -> Vec<Message> {
        let message = |number| {
            let bytes = (0..=u8::MAX).cycle().skip(number).take(self.length);
            Message::binary(bytes.collect::<Vec<_>>())
        };
        (0..self.count).map(message).collect()
    }

    /// As many of them as there is always room for.
    fn messages_with_room(&self) -> Vec<Message> {
        let mut messages = self.messages();
        messages.truncate(120_000 / self.length);
        messages
    }
}

fn config(runtime: &Arc<dyn Runtime>) -> WebSocketConfig {
    // No test is to end by a timeout. Two servers stand for both ends of a stream in memory, and
    // servers do not mask.
    support::config(runtime)
        .set_close_timeout(Duration::from_secs(3600))
        .set_transport(TransportConfig::default().accept_unmasked_frames(true))
}

/// The settings of a socket that buffers one message and no more.
fn tight(runtime: &Arc<dyn Runtime>) -> WebSocketConfig {
    let transport = TransportConfig::default()
        .accept_unmasked_frames(true)
        .write_buffer_size(0)
        .max_write_buffer_size(1);
    config(runtime).set_transport(transport)
}

/// Streams of one byte a poll at both ends; and client and server with messages that do not fit
/// into the stream.
async fn cases(config: &WebSocketConfig) -> Vec<Case> {
    let mut cases = Vec::new();
    for polls in POLLS {
        let (near, far) = duplex();
        cases.push(Case {
            polls,
            one: server(Scripted::slow(near), config).await,
            other: server(Scripted::slow(far), config).await,
            count: 30,
            length: 20,
        });
        let (sender, receiver) = testing::pair_with(config).unwrap();
        let (other_receiver, other_sender) = testing::pair_with(config).unwrap();
        for (one, other) in [(sender, receiver), (other_sender, other_receiver)] {
            cases.push(Case {
                polls,
                one,
                other,
                count: 10,
                length: 30_000,
            });
        }
    }
    cases
}

async fn next(socket: &mut WebSocket) -> Message {
    socket.next().await.expect("no end yet").expect("no error")
}

runtimes! {
    async fn a_dropped_next_loses_nothing(rt) {
        for mut case in cases(&config(&rt)).await {
            let messages = case.messages();
            let sending = async {
                for message in &messages {
                    case.one.send(message.clone()).await.unwrap();
                    case.one.send(Message::Ping("between".into())).await.unwrap();
                }
            };
            let receiving = async {
                for message in &messages {
                    for expected in [message, &Message::Ping("between".into())] {
                        let receive = async || next(&mut case.other).await;
                        let received = begun_again(case.polls, receive);
                        assert!(received.await == *expected);
                    }
                }
            };
            join(sending, receiving).await;
        }
    }

    async fn a_dropped_next_answers_and_writes_all_the_same(rt) {
        for mut case in cases(&config(&rt)).await {
            let messages = case.messages();
            let echo = async {
                for _ in 0..=case.count {
                    let receive = async || next(&mut case.other).await;
                    let received = begun_again(case.polls, receive).await;
                    if !received.is_ping() {
                        case.other.feed(received).await.unwrap();
                    }
                }
                // It is still to write; and it waits for a last message.
                begun_again(case.polls, async || next(&mut case.other).await).await
            };
            let talk = async {
                case.one.feed(Message::Ping("answer".into())).await.unwrap();
                let mut pongs = 0;
                for message in &messages {
                    case.one.feed(message.clone()).await.unwrap();
                    let receive = async || next(&mut case.one).await;
                    let mut received = begun_again(case.polls, receive).await;
                    if received.is_pong() {
                        pongs += 1;
                        let receive = async || next(&mut case.one).await;
                        received = begun_again(case.polls, receive).await;
                    }
                    assert!(received == *message);
                }
                assert_eq!(pongs, 1);
                case.one.send("end".into()).await.unwrap();
            };
            assert_eq!(join(echo, talk).await.0, Message::text("end"));
        }
    }

    async fn a_message_whose_send_was_dropped_once_there_was_room_arrives_once_and_whole(rt) {
        for mut case in cases(&config(&rt)).await {
            // Below the watermark there is always room, so the first poll accepts the message.
            let messages = case.messages_with_room();
            let sending = async {
                for message in &messages {
                    let sent = dropped_after(case.polls, case.one.send(message.clone())).await;
                    sent.unwrap_or(Ok(())).unwrap();
                }
                case.one.send("end".into()).await.unwrap();
            };
            let receiving = async {
                for message in &messages {
                    assert!(next(&mut case.other).await == *message);
                }
                assert_eq!(next(&mut case.other).await, Message::text("end"));
            };
            join(sending, receiving).await;
        }
    }

    async fn a_message_whose_send_was_dropped_arrives_once_and_whole_or_not_at_all(rt) {
        let mut dropped = 0;
        for mut case in cases(&tight(&rt)).await {
            let messages = case.messages();
            let sending = async {
                let mut sent = Vec::new();
                for (number, message) in messages.iter().enumerate() {
                    match dropped_after(case.polls, case.one.send(message.clone())).await {
                        Some(result) => {
                            result.unwrap();
                            sent.push(number);
                        }
                        None => dropped += 1,
                    }
                }
                case.one.send(Message::Ping("end".into())).await.unwrap();
                sent
            };
            let receiving = async {
                let mut received = Vec::new();
                loop {
                    match next(&mut case.other).await {
                        Message::Ping(_) => break received,
                        message => received.push(message),
                    }
                }
            };
            let (sent, received) = join(sending, receiving).await;
            let whole = |message| messages.iter().position(|sent| sent == message);
            let whole = |message| whole(message).expect("it is whole");
            let received: Vec<_> = received.iter().map(whole).collect();
            assert!(received.is_sorted_by(|a, b| a < b), "{received:?}");
            assert!(sent.iter().all(|number| received.contains(number)), "{sent:?} {received:?}");
        }
        assert_ne!(dropped, 0);
    }

    async fn a_feed_that_was_dropped_has_buffered_nothing(rt) {
        for mut case in cases(&tight(&rt)).await {
            let messages = case.messages();
            let feed = async {
                for message in &messages {
                    begun_again(case.polls, async || case.one.feed(message.clone()).await)
                        .await
                        .unwrap();
                }
                case.one.flush().await.unwrap();
            };
            let receiving = async {
                for message in &messages {
                    assert!(next(&mut case.other).await == *message);
                }
            };
            join(feed, receiving).await;
        }
    }

    async fn a_dropped_flush_loses_and_doubles_nothing(rt) {
        for mut case in cases(&config(&rt)).await {
            let messages = case.messages_with_room();
            let flush = async {
                for _ in 0..3 {
                    for message in &messages {
                        case.one.feed(message.clone()).await.unwrap();
                    }
                    begun_again(case.polls, async || case.one.flush().await).await.unwrap();
                }
            };
            let receiving = async {
                for message in messages.iter().cycle().take(3 * messages.len()) {
                    assert!(next(&mut case.other).await == *message);
                }
            };
            join(flush, receiving).await;
        }
    }

    async fn a_dropped_close_sends_one_close_behind_all_that_was_buffered(rt) {
        for polls in POLLS {
            let (near, far) = duplex();
            let mut socket = server(Scripted::slow(far), &config(&rt)).await;
            let mut peer = Peer::new(near);
            for text in ["one", "two"] {
                socket.feed(text.into()).await.unwrap();
            }
            let close = begun_again(polls, async || {
                let frame = CloseFrame { code: CloseCode::Away, reason: "leaving".into() };
                socket.close(frame).await
            });
            // It sees to it that nothing follows the Close.
            let (closed, (frames, close)) = join(close, peer.see_off()).await;
            closed.unwrap();
            assert_eq!(frames, [Frame::text("one"), Frame::text("two")]);
            assert_eq!(close, Frame::close(1001, "leaving"));
        }
    }

    async fn a_dropped_wait_for_the_end_answers_all_the_same(rt) {
        for polls in POLLS {
            let (near, far) = duplex();
            let mut socket = server(Scripted::slow(far), &config(&rt)).await;
            let mut peer = Peer::new(near);
            let closed = async {
                begun_again(polls, async || socket.closed().await).await?;
                // It does not wait for the answer to be written.
                begun_again(polls, async || socket.flush().await).await
            };
            let talk = async {
                peer.send(Frame::text("discarded")).await;
                peer.send(Frame::new(PING, "one")).await;
                assert_eq!(peer.frame().await, Some(Frame::new(PONG, "one")));
                peer.send(Frame::close(1001, "leaving")).await;
                assert_eq!(peer.frame().await, Some(Frame::close(1001, "leaving")));
            };
            let (closed, ()) = join(closed, talk).await;
            closed.unwrap();
        }
    }

    async fn a_dropped_next_data_loses_nothing(rt) {
        for mut case in cases(&config(&rt)).await {
            let messages = case.messages();
            let polls = case.polls;
            let send = async {
                for message in &messages {
                    case.one.send(Message::Ping(Bytes::new())).await.unwrap();
                    case.one.send(message.clone()).await.unwrap();
                }
            };
            let receive = async {
                for message in &messages {
                    let item = begun_again(polls, async || case.other.next_data().await).await;
                    assert!(item.unwrap().unwrap() == *message);
                }
            };
            join(send, receive).await;
        }
    }

    async fn a_dropped_close_within_sends_one_close(rt) {
        for polls in POLLS {
            let (near, far) = duplex();
            let mut socket = server(Scripted::slow(far), &config(&rt)).await;
            let mut peer = Peer::new(near);
            socket.feed("one".into()).await.unwrap();
            let hour = Duration::from_secs(3600);
            let close = begun_again(polls, async || socket.close_within((1001, ""), hour).await);
            let (closed, (frames, close)) = join(close, peer.see_off()).await;
            closed.unwrap();
            assert_eq!(frames, [Frame::text("one")]);
            assert_eq!(close, Frame::close(1001, ""));
        }
    }

    async fn both_ends_complete_a_dropped_close(rt) {
        for mut case in cases(&config(&rt)).await {
            for message in case.messages_with_room() {
                case.one.feed(message.clone()).await.unwrap();
                case.other.feed(message).await.unwrap();
            }
            let one = begun_again(case.polls, async || case.one.close(None).await);
            let other = begun_again(case.polls, async || case.other.close(None).await);
            let (one, other) = join(one, other).await;
            one.unwrap();
            other.unwrap();
        }
    }

    async fn all_operations_may_be_dropped_between_each_other(rt) {
        for mut case in cases(&config(&rt)).await {
            let messages = case.messages();
            let polls = case.polls;
            let talk = async |socket: &mut WebSocket| {
                let mut received = 0;
                for message in &messages {
                    socket.feed(message.clone()).await.unwrap();
                    dropped_after(polls, socket.flush()).await.unwrap_or(Ok(())).unwrap();
                    if let Some(item) = dropped_after(polls, socket.next()).await {
                        assert!(item.unwrap().unwrap() == messages[received]);
                        received += 1;
                    }
                }
                while received < messages.len() {
                    let message = begun_again(polls, async || next(socket).await).await;
                    assert!(message == messages[received]);
                    received += 1;
                }
                // The other end may still wait for the last of them.
                begun_again(polls, async || socket.flush().await).await.unwrap();
            };
            join(talk(&mut case.one), talk(&mut case.other)).await;
        }
    }
}
