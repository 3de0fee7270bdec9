//! Long messages take turns with other tasks, and with control frames.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use anyws::{DeflateConfig, Error, Message, PreparedMessage, Takeover};
use futures::{FutureExt, future::join};
use support::{
    frames::{BINARY, Frame, PING, PONG, Role},
    runtimes,
    sockets::{now, patient},
    tasks::spawn,
};

use crate::{
    codec::{RSV1, Receiver, Sender, frame, with},
    echo::{json, noise},
};

const LENGTH: usize = 4 << 20;

fn takeovers() -> [DeflateConfig; 3] {
    [Takeover::None, Takeover::Window, Takeover::Dedicated].map(|takeover| {
        DeflateConfig::new()
            .send_takeover(takeover)
            .receive_takeover(true)
            .send_window_bits(15)
            .level(1)
    })
}

/// A waker that counts.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Polls a future until it is done, only when it was woken. Returns its output, and how many turns
/// it took.
fn turns<F: Future>(future: F) -> (F::Output, usize) {
    let count = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut future = pin!(future);
    for turn in 1..100_000 {
        let before = count.0.load(SeqCst);
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (output, turn);
        }
        assert!(count.0.load(SeqCst) > before, "nobody would poll it again");
    }
    panic!("it takes turns for ever");
}

runtimes! {
    async fn a_long_message_is_compressed_in_turns_whatever_sends_it(runtime) {
        let plain = json(1, LENGTH);
        let message = Message::text(&plain);
        // A step of 64 KiB is a turn.
        let least = plain.len() / (64 * 1024);
        for deflate in takeovers() {
            let socket = || Role::Server.with_roomy_peer(&with(&runtime, deflate));
            let (mut sends, mut peer) = socket();
            let (sent, taken) = turns(sends.send(message.clone()));
            sent.unwrap();
            assert!(taken >= least, "{taken} turns");
            let mut receiver = Receiver::new(15, true);
            assert_eq!(receiver.frame(&peer.frame().await.unwrap()), plain.as_bytes());

            let (mut feeds, mut peer) = socket();
            now(feeds.feed(message.clone())).unwrap();
            let (fed, taken) = turns(feeds.feed("next".into()));
            fed.unwrap();
            assert!(taken >= least - 1, "{taken} turns");
            now(feeds.flush()).unwrap();
            let mut receiver = Receiver::new(15, true);
            assert_eq!(receiver.frame(&peer.frame().await.unwrap()), plain.as_bytes());
            assert_eq!(peer.frame().await, Some(Frame::text("next")));

            // `next` goes on with it, and so do the senders' queue and a prepared message.
            let (mut waits, mut peer) = socket();
            let sender = waits.sender_with(anyws::QueueConfig::default().bytes(2 * plain.len()));
            sender.try_send(message.clone()).unwrap();
            sender.try_send("next").unwrap();
            let mut receiver = Receiver::new(15, true);
            let received = async {
                let first = peer.frame().await.unwrap();
                assert_eq!(receiver.frame(&first), plain.as_bytes());
                assert_eq!(peer.frame().await, Some(Frame::text("next")));
                peer.send(Frame::text("done")).await;
            };
            let ((next, ()), taken) = turns(join(waits.next(), received));
            assert_eq!(next.unwrap().unwrap(), Message::text("done"));
            assert!(taken >= least, "{taken} turns");

            let prepared = PreparedMessage::from(message.clone());
            let (mut first, mut peer) = socket();
            let (sent, taken) = turns(first.send_prepared(&prepared));
            sent.unwrap();
            assert!(taken >= least, "{taken} turns");
            let mut receiver = Receiver::new(15, true);
            assert_eq!(receiver.frame(&peer.frame().await.unwrap()), plain.as_bytes());
            // It is compressed already.
            let (mut second, mut peer) = socket();
            let (sent, taken) = turns(second.send_prepared(&prepared));
            sent.unwrap();
            assert!(taken <= 4, "{taken} turns");
            assert!(peer.frame().await.unwrap().has_bits(RSV1));
        }
    }

    async fn a_long_message_is_inflated_in_turns(runtime) {
        let config = with(&runtime, DeflateConfig::new());
        // 64 KiB of it are some 60 MiB.
        for plain in [vec![7; 16 << 20], json(1, LENGTH).into_bytes()] {
            let (mut socket, mut peer) = Role::Server.with_roomy_peer(&config);
            now(peer.send(frame(BINARY, &plain)));
            let (next, taken) = turns(socket.next());
            assert_eq!(next.unwrap().unwrap(), Message::binary(plain.clone()));
            let least = plain.len() / (512 * 1024);
            assert!(taken >= least, "{taken} turns");
        }
    }

    async fn other_tasks_of_the_thread_run_meanwhile(runtime) {
        let config = with(&runtime, DeflateConfig::new());
        let (mut socket, mut peer) = Role::Server.with_roomy_peer(&config);
        let is_sent = Arc::new(AtomicBool::new(false));
        let sent = Arc::clone(&is_sent);
        // Both tasks wake themselves, and take turns where they are on one thread.
        let ticker = spawn(&runtime, poll_fn(move |cx| {
            static TICKS: AtomicUsize = AtomicUsize::new(0);
            let ticks = TICKS.fetch_add(1, SeqCst);
            if sent.load(SeqCst) {
                return Poll::Ready(ticks);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        let sender = spawn(&runtime, async move {
            socket.send(Message::text(json(1, LENGTH))).await.unwrap();
            is_sent.store(true, SeqCst);
            socket
        });
        let _socket = sender.await.unwrap();
        assert!(peer.frame().await.unwrap().has_bits(RSV1));
        let ticks = ticker.await.unwrap();
        assert!(ticks >= LENGTH / (64 * 1024), "{ticks} ticks");
    }

    async fn pings_are_answered_while_a_message_is_compressed(runtime) {
        let config = with(&runtime, DeflateConfig::new());
        let (mut socket, mut peer) = Role::Server.with_roomy_peer(&config);
        now(socket.feed(Message::text(json(1, LENGTH)))).unwrap();
        now(peer.send(Frame::new(PING, "1")));
        // A turn or two, and by far not the message.
        for _ in 0..4 {
            if let Some(message) = socket.next().now_or_never() {
                assert_eq!(message.unwrap().unwrap(), Message::Ping("1".into()));
            }
        }
        assert_eq!(peer.frame().now_or_never().flatten(), Some(Frame::new(PONG, "1")));
        let (sent, _) = turns(socket.flush());
        sent.unwrap();
        assert!(peer.frame().await.unwrap().has_bits(RSV1));
    }

    async fn a_close_or_a_drop_sends_the_message_as_it_is(runtime) {
        let plain = json(1, 1 << 20);
        let message = || Message::text(&plain);
        for role in Role::BOTH {
            for deflate in takeovers() {
                let config = patient(&runtime).set_deflate(deflate);
                let (mut socket, mut peer) = role.with_roomy_peer(&config);
                now(socket.feed(message())).unwrap();
                let mut receiver = Receiver::new(15, true);
                let close = async {
                    let frame = peer.frame().await.unwrap();
                    assert_eq!(receiver.frame(&frame), plain.as_bytes());
                    let close = peer.frame().await.unwrap();
                    assert_eq!(close.code(), 1000);
                    peer.send(close).await;
                    peer.finish().await;
                };
                let (closed, ()) = join(socket.close((1000, "")), close).await;
                closed.unwrap();

                let (mut socket, mut peer) = role.with_roomy_peer(&config);
                now(socket.feed(message())).unwrap();
                drop(socket);
                let mut receiver = Receiver::new(15, true);
                let frame = peer.frame().await.unwrap();
                assert_eq!(receiver.frame(&frame), plain.as_bytes());
                assert_eq!(peer.frame().await.unwrap().code(), 1000);
            }
        }
    }

    async fn a_violation_of_the_peer_comes_behind_the_message(runtime) {
        let plain = json(1, 1 << 20);
        let config = with(&runtime, DeflateConfig::new());
        let (mut socket, mut peer) = Role::Server.with_roomy_peer(&config);
        now(socket.feed(Message::text(&plain))).unwrap();
        now(peer.send(Frame::new(PING, "").with_bits(0x20)));
        let error = now(socket.next()).unwrap().unwrap_err();
        assert!(matches!(error, Error::Protocol(_)), "{error:?}");
        assert!(socket.next().await.is_none());
        drop(socket);
        assert_eq!(peer.frame().await, Some(Frame::text(&plain)));
        assert_eq!(peer.frame().await.unwrap().code(), 1002);
    }

    async fn dropped_futures_lose_nothing_at_any_turn(runtime) {
        let plain = json(1, 600_000);
        for deflate in takeovers() {
            for polls in 0..12 {
                let (mut socket, mut peer) = Role::Server.with_roomy_peer(&with(&runtime, deflate));
                let mut sent = socket.send(Message::text(&plain));
                for _ in 0..polls {
                    let _ = (&mut sent).now_or_never();
                }
                drop(sent);
                // Whatever was accepted goes on with the next call.
                let (next, _) = turns(socket.send("next".into()));
                next.unwrap();
                let mut receiver = Receiver::new(15, true);
                if polls > 0 {
                    let frame = peer.frame().await.unwrap();
                    assert!(frame.has_bits(RSV1));
                    assert_eq!(receiver.frame(&frame), plain.as_bytes());
                }
                assert_eq!(peer.frame().await, Some(Frame::text("next")));
            }
        }
    }

    async fn a_dropped_next_loses_nothing_of_a_message_that_is_inflated(runtime) {
        let plain = json(1, 2 << 20);
        let config = with(&runtime, DeflateConfig::new());
        let (mut socket, mut peer) = Role::Server.with_roomy_peer(&config);
        now(peer.send(frame(BINARY, plain.as_bytes())));
        now(peer.send(Frame::text("next")));
        let mut polls = 0;
        let message = loop {
            polls += 1;
            if let Some(next) = socket.next().now_or_never() {
                break next.unwrap().unwrap();
            }
        };
        assert!(polls > 2);
        assert_eq!(message, Message::binary(plain));
        assert_eq!(now(socket.next()).unwrap().unwrap(), Message::text("next"));
    }

    async fn two_tasks_go_on_with_long_messages_in_both_directions(runtime) {
        for deflate in takeovers() {
            let (socket, mut peer) = Role::Server.with_roomy_peer(&with(&runtime, deflate));
            let (mut send, mut receive) = socket.split();
            let sender = spawn(&runtime, async move {
                for number in 0..3 {
                    send.send(Message::text(json(number, 1 << 20))).await.unwrap();
                }
                send
            });
            let receiver = spawn(&runtime, async move {
                for number in 0..3 {
                    let message = receive.next_data().await.unwrap().unwrap();
                    assert_eq!(message, Message::binary(json(number, 1 << 20)));
                }
                receive
            });
            let mut inflate = Receiver::new(15, deflate != takeovers()[0]);
            let mut compress = Sender::new(1, 15);
            for number in 0..3 {
                let plain = json(number, 1 << 20);
                // Each message by itself: the socket takes nothing over.
                let payload = std::mem::replace(&mut compress, Sender::new(1, 15))
                    .message(plain.as_bytes());
                let to_socket = Frame::new(BINARY, payload).with_bits(RSV1);
                peer.send(to_socket).await;
                let frame = peer.frame().await.unwrap();
                assert_eq!(inflate.frame(&frame), plain.as_bytes());
            }
            let send = sender.await.unwrap();
            let receive = receiver.await.unwrap();
            assert!(send.reunite(receive).unwrap().is_compressed());
        }
    }

    async fn a_long_message_that_does_not_shrink_goes_as_it_is(runtime) {
        for deflate in takeovers() {
            let (mut socket, mut peer) = Role::Server.with_roomy_peer(&with(&runtime, deflate));
            let mut receiver = Receiver::new(15, true);
            for number in 0..3 {
                let plain = noise(number, 300_000);
                let (sent, _) = turns(socket.send(Message::binary(plain.clone())));
                sent.unwrap();
                assert_eq!(peer.frame().await, Some(Frame::new(BINARY, plain)));
                let plain = json(1, 300_000);
                let (sent, _) = turns(socket.send(Message::text(&plain)));
                sent.unwrap();
                assert_eq!(receiver.frame(&peer.frame().await.unwrap()), plain.as_bytes());
            }
        }
    }

    async fn fragments_are_cut_from_compressed_bytes(runtime) {
        let config = support::sockets::with_limits(&runtime, |limits| limits.fragment_size(1024));
        let config = config.set_deflate(DeflateConfig::new());
        let plain = json(1, 100_000);
        let (mut socket, mut peer) = Role::Server.with_roomy_peer(&config);
        let (sent, _) = turns(socket.send(Message::text(&plain)));
        sent.unwrap();
        let mut payload = Vec::new();
        loop {
            let frame = peer.frame().await.unwrap();
            assert_eq!(frame.has_bits(RSV1), payload.is_empty(), "only the first one says so");
            assert!(frame.payload.len() <= 1024);
            payload.extend(&frame.payload);
            if frame.is_last() {
                break;
            }
        }
        assert_eq!(Receiver::new(15, false).message(&payload), plain.as_bytes());
    }
}
