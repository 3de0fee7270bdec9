//! The ends of a socket: `close`, `abort` and `closed` of its senders.

use std::{
    future::Future,
    io::ErrorKind,
    pin::{Pin, pin},
    task::Poll,
};

use anyws::{
    CloseCode, Error, InvalidMessage, Message, PreparedMessage, Sender, TrySendError,
    testing::duplex,
};
use futures::FutureExt;
use support::{
    frames::{CLOSE, Frame, PING, Peer, Role},
    runtimes,
    scripted::Scripted,
    sockets::{assert_waits, close, now, patient, received, with_limits},
    tasks::{poll_with, waker},
};

use super::{narrow, texts, turn};

fn assert_closed(sender: &Sender) {
    for sent in [sender.try_send("late"), sender.send_latest(1, "late")] {
        assert!(matches!(sent, Err(TrySendError::Closed(_))), "{sent:?}");
    }
    let sent = now(sender.send("late"));
    assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
}

runtimes! {
    async fn close_comes_after_what_is_queued(rt) {
        for as_message in [false, true] {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let sender = socket.sender();
            sender.try_send("1").unwrap();
            sender.try_send("2").unwrap();
            if as_message {
                sender.try_send(close(4000, "bye")).unwrap();
            } else {
                sender.close((4000, "bye")).unwrap();
            }
            assert_closed(&sender);
            assert_eq!(sender.buffered().messages, 2);
            // The first Close counts.
            sender.close((CloseCode::Away, "again")).unwrap();

            // What the peer still sends is received.
            peer.send(Frame::text("a")).await;
            assert_eq!(received(&mut socket), Message::text("a"));
            turn(&mut socket);
            assert_eq!(texts(&mut peer, 2), ["1", "2"]);
            assert_eq!(now(peer.frame()), Some(Frame::close(4000, "bye")));
            now(sender.closed());
            peer.send(Frame::text("b")).await;
            assert_eq!(received(&mut socket), Message::text("b"));
            let sent = now(socket.send("late".into()));
            assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
            peer.send(Frame::close(4000, "bye")).await;
            assert_eq!(received(&mut socket), close(4000, "bye"));
            assert!(now(socket.next()).is_none());
            assert_closed(&sender);
            sender.close(None).unwrap();
            sender.abort();
        }
    }

    async fn close_comes_after_more_than_a_batch(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        for at in 0..40 {
            sender.try_send(at.to_string()).unwrap();
        }
        sender.close((4000, "")).unwrap();
        turn(&mut socket);
        assert_eq!(texts(&mut peer, 40).last().unwrap(), "39");
        assert_eq!(now(peer.frame()).unwrap().code(), 4000);
    }

    async fn close_without_a_code_is_sent_by_each_call(rt) {
        for call in 0..4 {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let sender = socket.sender();
            sender.close(None).unwrap();
            match call {
                0 => turn(&mut socket),
                1 => now(socket.flush()).unwrap(),
                2 => now(socket.closed()).unwrap(),
                _ => drop(socket),
            }
            assert_eq!(now(peer.frame()), Some(Frame::new(CLOSE, [])), "{call}");
            now(sender.closed());
        }
    }

    async fn close_of_the_queue_comes_before_that_of_the_socket(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        sender.try_send("1").unwrap();
        sender.close((4001, "")).unwrap();
        assert!(socket.close((4002, "")).now_or_never().is_none());
        assert_eq!(texts(&mut peer, 1), ["1"]);
        assert_eq!(now(peer.frame()).unwrap().code(), 4001);
        assert!(peer.frame().now_or_never().is_none(), "there is one Close");
    }

    async fn a_code_that_may_not_be_sent_harms_nothing(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        for code in [999, 1004, 1005, 1006, 1015, 5000] {
            assert_eq!(sender.close((code, "")), Err(InvalidMessage::CloseCode(code)));
        }
        sender.try_send("1").unwrap();
        turn(&mut socket);
        assert_eq!(texts(&mut peer, 1), ["1"]);
    }

    async fn abort_wakes_the_task_and_drops_the_stream(rt) {
        for call in 0..3 {
            let (near, far) = duplex();
            let (far, script) = Scripted::new(far);
            let mut socket = Role::Server.socket(far, &patient(&rt));
            let sender = socket.sender();
            let (waker, woken) = waker();
            match call {
                0 => assert!(poll_with(&waker, pin!(socket.next())).is_pending()),
                1 => assert!(poll_with(&waker, pin!(socket.next_data())).is_pending()),
                _ => assert!(poll_with(&waker, pin!(socket.closed())).is_pending()),
            }
            sender.try_send("lost").unwrap();
            sender.try_send(Message::Ping("lost".into())).unwrap();
            sender.abort();
            assert!(woken.take());
            assert_closed(&sender);
            let mut polls = 0;
            loop {
                polls += 1;
                assert!(polls < 3, "{call}");
                let is_over = match call {
                    0 | 1 => matches!(poll_with(&waker, pin!(socket.next())), Poll::Ready(None)),
                    _ => matches!(poll_with(&waker, pin!(socket.closed())), Poll::Ready(Ok(()))),
                };
                if is_over {
                    break;
                }
                assert!(woken.take());
            }
            assert!(script.is_dropped(), "{call}");
            assert!(script.writes().is_empty(), "{call}");
            assert!(now(socket.next()).is_none());
            now(sender.closed());
            let sent = now(socket.send("late".into()));
            assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
            drop(near);
        }
    }

    async fn abort_discards_what_has_arrived(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        peer.send_bytes(&Frame::text("x").masked().repeat(3)).await;
        assert!(received(&mut socket).is_text());
        sender.abort();
        assert!(now(socket.next()).is_none());
    }

    async fn abort_ends_a_socket_that_does_not_read_on(rt) {
        // A peer that pings and reads nothing, for which reading pauses.
        let (near, far) = anyws::testing::duplex_with_capacity(1 << 20);
        let (io, _room) = support::room::Narrow::new(0);
        let config = with_limits(&rt, |limits| {
            limits.write_buffer_size(0).max_write_buffer_size(1)
        });
        let mut socket = Role::Server.socket(OneWay(far, io), &config);
        let mut peer = Peer::new(near);
        peer.send_bytes(&Frame::new(PING, [7; 125]).masked().repeat(2000)).await;
        let sender = socket.sender();
        let mut polls = 0;
        while socket.next().now_or_never().is_some() || polls < 2000 {
            polls += 1;
            assert!(polls < 10_000, "it never pauses");
        }
        sender.abort();
        let ends: Vec<_> = (0..3).map(|_| socket.next().now_or_never()).collect();
        let is_end = |it: &Option<_>| matches!(it, None | Some(None));
        assert!(ends.iter().all(is_end), "{ends:?}");
        assert!(matches!(ends[2], Some(None)));
    }

    async fn abort_ends_a_blocked_write(rt) {
        for call in 0..4 {
            let (mut socket, _room) = narrow(&rt);
            let sender = socket.sender();
            if call > 0 {
                now(socket.feed("buffered".into())).unwrap();
            }
            let (waker, woken) = waker();
            let mut writing: Pin<Box<dyn Future<Output = anyws::Result<()>> + Send>> = match call {
                0 | 1 => Box::pin(socket.send("x".into())),
                2 => Box::pin(socket.feed("x".into())),
                _ => Box::pin(socket.flush()),
            };
            assert!(poll_with(&waker, Pin::new(&mut writing)).is_pending());
            assert!(!woken.take());
            sender.abort();
            assert!(woken.take(), "{call}: the task sleeps on");
            let mut written = poll_with(&waker, Pin::new(&mut writing));
            while written.is_pending() && woken.take() {
                written = poll_with(&waker, Pin::new(&mut writing));
            }
            let Poll::Ready(Err(Error::Io(error))) = written else {
                panic!("{call}: the message is lost: {written:?}");
            };
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
            drop(writing);
            assert!(now(socket.next()).is_none());
            now(sender.closed());
        }
    }

    async fn a_queue_that_is_full_ends_a_blocked_write(rt) {
        let (mut socket, _room) = narrow(&rt);
        let sender = socket.sender_with(crate::bounds(1, anyws::WhenFull::Close));
        let (waker, woken) = waker();
        let mut sending = socket.send("x".into());
        assert!(poll_with(&waker, Pin::new(&mut sending)).is_pending());
        sender.try_send("1").unwrap();
        // A message for which the buffer has no room: the task has nothing to do.
        woken.take();
        assert!(poll_with(&waker, Pin::new(&mut sending)).is_pending());
        assert!(!woken.take(), "the task runs in circles");
        assert!(sender.try_send("2").is_err());
        assert!(woken.take(), "the task sleeps on");
        let mut sent = poll_with(&waker, Pin::new(&mut sending));
        while sent.is_pending() && woken.take() {
            sent = poll_with(&waker, Pin::new(&mut sending));
        }
        assert!(matches!(sent, Poll::Ready(Err(Error::QueueFull))), "{sent:?}");
        drop(sending);
        assert!(now(socket.next()).is_none(), "the error comes once");
    }

    async fn what_abort_loses_is_not_flushed(rt) {
        let (mut socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        now(socket.feed("lost".into())).unwrap();
        sender.abort();
        let flushed = now(socket.flush());
        assert!(matches!(flushed, Err(Error::Io(_))), "{flushed:?}");
    }

    async fn abort_counts_though_a_close_is_queued(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        sender.try_send("1").unwrap();
        sender.close(None).unwrap();
        sender.abort();
        let _ = socket.next().now_or_never();
        assert!(now(socket.next()).is_none());
        assert_eq!(now(peer.frame()), None);
    }

    async fn abort_ends_a_wait_for_the_peers_close(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        sender.close((4000, "bye")).unwrap();
        let (waker, woken) = waker();
        assert!(poll_with(&waker, pin!(socket.next())).is_pending());
        assert_eq!(now(peer.frame()), Some(Frame::close(4000, "bye")));
        now(sender.closed());
        assert!(poll_with(&waker, pin!(socket.next())).is_pending());
        assert!(!woken.take());
        sender.abort();
        assert!(woken.take());
        assert!(matches!(poll_with(&waker, pin!(socket.next())), Poll::Ready(None)));
        assert_eq!(now(peer.frame()), None);
        sender.abort();
        assert!(now(socket.next()).is_none());
    }

    async fn senders_know_their_socket_and_its_end(rt) {
        let (mut one, _peer) = Role::Server.with_peer(&patient(&rt));
        let (mut two, _other) = Role::Server.with_peer(&patient(&rt));
        let (sender, clone, other) = (one.sender(), one.sender().clone(), two.sender());
        assert!(sender.same_socket(&clone) && !sender.same_socket(&other));
        assert!(!sender.is_closed());
        sender.close(None).unwrap();
        assert!(clone.is_closed() && !other.is_closed());
        drop(two);
        assert!(other.is_closed());
    }

    async fn closed_waits_for_each_end(rt) {
        for end in 0..10 {
            let (near, far) = duplex();
            let (far, script) = Scripted::new(far);
            let mut socket = Role::Server.socket(far, &patient(&rt));
            let mut peer = Peer::new(near);
            let sender = socket.sender();
            let (waker, woken) = waker();
            let mut closed = pin!(sender.closed());
            assert!(poll_with(&waker, closed.as_mut()).is_pending());
            let mut again = pin!(sender.closed());
            match end {
                0 => drop(socket),
                1 => socket.abort(),
                2 => {
                    sender.abort();
                    let _ = socket.next().now_or_never();
                }
                3 => {
                    peer.send(Frame::close(1000, "")).await;
                    assert!(now(socket.next()).unwrap().unwrap().is_close());
                }
                4 => {
                    peer.finish().await;
                    let end = now(socket.next());
                    assert!(matches!(end, Some(Err(Error::ClosedWithoutHandshake))), "{end:?}");
                }
                5 => {
                    peer.send_bytes(&[0xff; 2]).await;
                    let end = now(socket.next());
                    assert!(matches!(end, Some(Err(Error::Protocol(_)))), "{end:?}");
                }
                6 => {
                    script.fail_writes(ErrorKind::BrokenPipe);
                    let sent = now(socket.send("x".into()));
                    assert!(matches!(sent, Err(Error::Io(_))), "{sent:?}");
                }
                7 => {
                    script.fail_reads(ErrorKind::ConnectionReset);
                    let end = now(socket.next());
                    assert!(matches!(end, Some(Err(Error::Io(_)))), "{end:?}");
                }
                8 => {
                    sender.close(None).unwrap();
                    now(socket.flush()).unwrap();
                }
                _ => assert!(socket.close(None).now_or_never().is_none()),
            }
            assert!(woken.take(), "{end}");
            assert!(poll_with(&waker, closed).is_ready(), "{end}");
            assert!(poll_with(&waker, again.as_mut()).is_ready(), "{end}");
            assert_closed(&sender);
            assert_eq!(sender.buffered().messages, 0);
        }
    }

    async fn closed_wakes_the_last_waker(rt) {
        let (socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let mut socket = socket;
        let sender = socket.sender();
        let ((first, of_first), (last, of_last)) = (waker(), waker());
        let mut closed = sender.closed();
        assert!(poll_with(&first, Pin::new(&mut closed)).is_pending());
        assert!(poll_with(&last, Pin::new(&mut closed)).is_pending());
        drop(first);
        assert_eq!(std::sync::Arc::strong_count(&of_first), 1);
        socket.abort();
        assert!(of_last.take());
        assert!(poll_with(&last, Pin::new(&mut closed)).is_ready());
    }

    async fn who_waits_for_the_end_is_not_woken_by_each_message(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        let (waker, woken) = waker();
        let mut closed = pin!(sender.closed());
        assert!(poll_with(&waker, closed.as_mut()).is_pending());
        sender.try_send("1").unwrap();
        turn(&mut socket);
        assert_eq!(texts(&mut peer, 1), ["1"]);
        assert!(!woken.take());
    }

    async fn a_sender_of_a_socket_that_has_ended_is_closed(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        peer.send(Frame::close(1000, "")).await;
        assert!(received(&mut socket).is_close());
        let sender = socket.sender();
        now(sender.closed());
        assert_closed(&sender);
        let mut socket = Role::Server.with_peer(&patient(&rt)).0;
        socket.abort();
        now(socket.sender().closed());
    }

    async fn a_sender_outlives_its_socket(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        let message = PreparedMessage::from("1");
        sender.try_send(&message).unwrap();
        drop(socket);
        assert_closed(&sender);
        let (frames, close) = peer.see_off().await;
        assert_eq!(frames, [Frame::text("1")]);
        assert_eq!(close.code(), 1000);
    }

    async fn nothing_is_done_where_nothing_is_queued(rt) {
        let (mut socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let _sender = socket.sender();
        let (waker, woken) = waker();
        for _ in 0..10 {
            let mut next = socket.next();
            assert!(poll_with(&waker, Pin::new(&mut next)).is_pending());
            assert!(!woken.take(), "the task runs in circles");
        }
        assert_waits(&mut socket);
    }
}

/// A stream that reads from one stream and writes to another.
struct OneWay<R, W>(R, W);

impl<R: futures::AsyncRead + Unpin, W: Unpin> futures::AsyncRead for OneWay<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<R: Unpin, W: futures::AsyncWrite + Unpin> futures::AsyncWrite for OneWay<R, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.1).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.1).poll_flush(cx)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.1).poll_close(cx)
    }
}

/// Sockets in which nothing runs: neither a runtime nor a timer.
#[test]
fn no_runtime_is_needed() {
    let config = support::attack::alone();
    let (mut client, mut server) = anyws::testing::pair_with(&config).unwrap();
    let sender = server.sender();
    sender.try_send("1").unwrap();
    sender.close((4000, "bye")).unwrap();
    turn(&mut server);
    assert_eq!(received(&mut client), Message::text("1"));
    assert_eq!(received(&mut client), close(4000, "bye"));
    assert_eq!(received(&mut server), close(4000, "bye"));
    now(sender.closed());
}
