//! Sockets that a drain asks to close.

use std::{pin::pin, time::Duration};

use anyws::{CloseCode, Drain, Error, Message, Rejection, Tracker, WebSocket, testing};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, channel::oneshot, future::join_all};
use http::StatusCode;
use support::{
    raw::masked,
    runtimes,
    sockets::close_frame,
    still::Still,
    upgrades::{close_code, echo, raw_upgrade},
};

use super::server::{DEADLINE, Server, assert_drained, assert_is_closed};

/// The Close of a drain on the wire.
const CLOSE: &[u8] = b"\x88\x0f\x03\xe9shutting down";

runtimes! {
    async fn handlers_without_any_code_for_it_are_closed_with_1001(rt) {
        let server = Server::new(&rt);
        let mut clients = join_all((0..5).map(|_| server.open(echo))).await;
        assert_eq!(server.tracker.open(), 5);
        let drained = server.drain(Drain::new()).await;
        for client in &mut clients {
            assert_is_closed(client, 1001).await;
            assert!(client.next().await.is_none());
        }
        let drained = drained.await.unwrap();
        assert_drained(&drained, 5, 0);
        assert_eq!((drained.took, server.tracker.open()), (Duration::ZERO, 0));
    }

    async fn the_code_can_be_set_unless_it_may_not_be_sent(rt) {
        for (code, sent) in [(1012, 1012), (4000, 4000), (1006, 1001), (999, 1001)] {
            let server = Server::new(&rt);
            let mut client = server.open(echo).await;
            let drained = server.drain(Drain::new().code(code)).await;
            assert_is_closed(&mut client, sent).await;
            assert_drained(&drained.await.unwrap(), 1, 0);
        }
    }

    async fn next_discards_what_arrives_and_returns_the_peers_close(rt) {
        let server = Server::new(&rt);
        let (told, is_told) = oneshot::channel();
        let mut client = server
            .open(async |mut socket: WebSocket| {
                let first = socket.next().await;
                let sent = socket.send("late".into()).await;
                let _ = told.send((first, sent, socket.next().await));
            })
            .await;
        let drained = server.drain(Drain::new()).await;
        client.send("too late".into()).await.unwrap();
        client.send(Message::Ping("ping".into())).await.unwrap();
        server.time.settle().await;
        assert_is_closed(&mut client, 1001).await;
        client.close(None).await.unwrap();
        let (first, sent, then) = is_told.await.unwrap();
        let close = first.unwrap().unwrap();
        assert_eq!(close, Message::Close(Some(close_frame(1001, "shutting down"))));
        assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
        assert!(then.is_none());
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn a_handler_that_never_waits_is_told_too(rt) {
        let server = Server::new(&rt);
        let tracker = server.tracker.clone();
        let (told, is_told) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel();
        let mut client = server
            .open(async move |mut socket: WebSocket| {
                may_go_on.await.unwrap();
                // All of it has arrived.
                socket.next().await.unwrap().unwrap();
                let mut drain = pin!(tracker.drain(Drain::new()));
                assert!(drain.as_mut().now_or_never().is_none());
                let _ = told.send(socket.next().await);
                drop(socket);
                drain.await;
            })
            .await;
        for _ in 0..100 {
            client.feed("again".into()).await.unwrap();
        }
        client.flush().await.unwrap();
        go_on.send(()).unwrap();
        for _ in 0..100 {
            if let Some(Ok(Message::Close(_))) = client.next().await {
                break;
            }
        }
        assert!(matches!(is_told.await, Ok(Some(Ok(Message::Close(_))))));
    }

    async fn a_handler_that_only_sends_is_told(rt) {
        let server = Server::new(&rt);
        let (told, is_told) = oneshot::channel();
        let (next, mut may_send) = futures::channel::mpsc::unbounded::<()>();
        let mut client = server
            .open(async move |mut socket: WebSocket| {
                while futures::StreamExt::next(&mut may_send).await.is_some() {
                    if let Err(error) = socket.send("tick".into()).await {
                        let _ = told.send(error);
                        return;
                    }
                }
            })
            .await;
        next.unbounded_send(()).unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text("tick"));
        let drained = server.drain(Drain::new()).await;
        next.unbounded_send(()).unwrap();
        assert!(matches!(is_told.await, Ok(Error::Closed)));
        assert_is_closed(&mut client, 1001).await;
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn closed_returns(rt) {
        let server = Server::new(&rt);
        let mut client = server
            .open(async |mut socket: WebSocket| socket.closed().await)
            .await;
        let drained = server.drain(Drain::new()).await;
        assert_is_closed(&mut client, 1001).await;
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn halves_are_told(rt) {
        let server = Server::new(&rt);
        let (told, is_told) = oneshot::channel();
        let mut client = server
            .open(async |socket: WebSocket| {
                let (mut sender, mut receiver) = socket.split();
                let closed = receiver.next().await;
                let _ = told.send((closed, sender.send("late".into()).await));
            })
            .await;
        let drained = server.drain(Drain::new()).await;
        assert_is_closed(&mut client, 1001).await;
        let (closed, sent) = is_told.await.unwrap();
        assert!(matches!(closed, Some(Ok(Message::Close(_)))), "{closed:?}");
        assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn what_senders_have_queued_is_sent_before_the_close(rt) {
        let server = Server::new(&rt);
        let (give, sender) = oneshot::channel();
        let (wait, may_read) = oneshot::channel::<()>();
        let mut client = server
            .open(async |mut socket: WebSocket| {
                let _ = give.send(socket.sender());
                may_read.await.unwrap();
                while socket.next().await.is_some() {}
            })
            .await;
        let sender = sender.await.unwrap();
        sender.send("first").await.unwrap();
        let drained = server.drain(Drain::new()).await;
        sender.send("second").await.unwrap();
        wait.send(()).unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text("first"));
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text("second"));
        assert_is_closed(&mut client, 1001).await;
        assert!(sender.send("third").await.is_err());
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn a_peer_that_keeps_tcp_open_holds_up_nobody(rt) {
        let server = Server::new(&rt);
        let (request, mut far) = raw_upgrade();
        let response = server.extract(request).unwrap().on_upgrade(echo);
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let drained = server.drain(Drain::new()).await;
        let mut close = [0; CLOSE.len()];
        far.read_exact(&mut close).await.unwrap();
        assert_eq!(close, CLOSE);
        assert_eq!(server.tracker.open(), 1, "the peer has not closed yet");
        far.write_all(&masked(0x88, &[3, 0xe9])).await.unwrap();
        // The other end has shut down its side, and waits for this one.
        assert_eq!(far.read(&mut close).await.unwrap(), 0);
        let drained = drained.await.unwrap();
        assert_drained(&drained, 1, 0);
        assert_eq!(drained.took, Duration::ZERO);
    }

    async fn a_handler_that_keeps_its_closed_socket_counts_no_more(rt) {
        let server = Server::new(&rt);
        let (give, given) = oneshot::channel();
        let mut client = server
            .open(async |mut socket: WebSocket| {
                while socket.next().await.is_some() {}
                let _ = give.send(socket);
            })
            .await;
        client.close(None).await.unwrap();
        let socket = given.await.unwrap();
        server.time.settle().await;
        assert_eq!(server.tracker.open(), 0);
        assert_drained(&server.tracker.drain(Drain::new()).await, 0, 0);
        drop(socket);
    }

    async fn a_socket_that_was_dropped_counts_until_it_has_closed(rt) {
        let server = Server::new(&rt);
        let (request, mut far) = raw_upgrade();
        let upgrade = server.extract(request).unwrap();
        let _ = upgrade.on_upgrade(async |socket: WebSocket| drop(socket));
        let mut close = [0; 4];
        far.read_exact(&mut close).await.unwrap();
        assert_eq!(close, *b"\x88\x02\x03\xe8");
        let mut drained = server.drain(Drain::new()).await;
        assert_eq!(server.tracker.open(), 1);
        server.time.advance(DEADLINE / 2).await;
        assert_eq!(drained.try_recv(), Ok(None), "a socket still closes");
        far.write_all(&masked(0x88, &[])).await.unwrap();
        let drained = drained.await.unwrap();
        assert_drained(&drained, 1, 0);
        assert_eq!(drained.took, DEADLINE / 2);
    }

    async fn a_handler_that_tidies_up_is_awaited(rt) {
        let server = Server::new(&rt);
        let (save, may_save) = oneshot::channel::<()>();
        let mut client = server
            .open(async |mut socket: WebSocket| {
                while socket.next().await.is_some() {}
                drop(socket);
                may_save.await.unwrap();
            })
            .await;
        let mut drained = server.drain(Drain::new()).await;
        assert_is_closed(&mut client, 1001).await;
        assert!(client.next().await.is_none());
        server.time.settle().await;
        assert_eq!(server.tracker.open(), 0);
        assert_eq!(drained.try_recv(), Ok(None), "the handler still runs");
        save.send(()).unwrap();
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn new_handshakes_are_refused(rt) {
        let server = Server::new(&rt);
        let mut draining = pin!(server.tracker.draining());
        assert!(draining.as_mut().now_or_never().is_none());
        let mut client = server.open(echo).await;
        let drained = server.drain(Drain::new()).await;
        draining.await;
        server.tracker.draining().await;
        let (request, _) = testing::upgrade("/");
        let rejection = server.extract(request).unwrap_err();
        assert_eq!(rejection, Rejection::Draining);
        let response = rejection.into_response::<String>();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["connection"], "close");
        assert_is_closed(&mut client, 1001).await;
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn a_handshake_under_way_is_told_once_it_is_open(rt) {
        let server = Server::new(&rt);
        let (request, client) = testing::upgrade("/");
        let (give, given) = oneshot::channel::<()>();
        let upgrade = server.extract(request).unwrap();
        let (response, upgrading) = upgrade.accept();
        let opened = server.time.run(async {
            given.await.unwrap();
            let mut socket = upgrading.await.unwrap();
            socket.next().await
        });
        let mut drained = server.drain(Drain::new()).await;
        assert_eq!((server.tracker.open(), drained.try_recv()), (1, Ok(None)));
        let mut client = client.set_config(server.config()).open(&response).unwrap();
        give.send(()).unwrap();
        assert_is_closed(&mut client, 1001).await;
        assert!(matches!(opened.await.unwrap(), Some(Ok(Message::Close(_)))));
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn a_socket_that_has_closed_by_itself_keeps_its_code(rt) {
        let server = Server::new(&rt);
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let mut client = server
            .open(async |mut socket: WebSocket| {
                let closing = socket.close((CloseCode::Policy, "bye"));
                let _ = closing.now_or_never();
                may_go_on.await.unwrap();
                socket.next().await;
            })
            .await;
        let drained = server.drain(Drain::new()).await;
        assert_eq!(close_code(&mut client).await, CloseCode::Policy);
        go_on.send(()).unwrap();
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn without_sockets_it_ends_at_once(rt) {
        let server = Server::new(&rt);
        let drained = server.tracker.drain(Drain::new()).now_or_never().unwrap();
        assert_drained(&drained, 0, 0);
    }

    async fn a_second_drain_joins_the_first(rt) {
        let server = Server::new(&rt);
        let mut client = server.open(echo).await;
        let mut first = server.drain(Drain::new().code(1012)).await;
        server.time.advance(DEADLINE / 2).await;
        let mut second = server.drain(Drain::new().code(1001).deadline(10 * DEADLINE)).await;
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(None), Ok(None)));
        assert_is_closed(&mut client, 1012).await;
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        assert_drained(&first, 1, 0);
        assert_eq!(first, second);
        assert_eq!(first.took, DEADLINE / 2);
        // And a third one has nothing left to do.
        assert_drained(&server.tracker.drain(Drain::new()).await, 1, 0);
    }

    async fn a_drain_that_is_dropped_has_asked_all_to_close(rt) {
        let server = Server::new(&rt);
        let mut clients = join_all((0..5).map(|_| server.open(echo))).await;
        let drain = Drain::new().spread(DEADLINE);
        assert!(server.tracker.drain(drain).now_or_never().is_none());
        for client in &mut clients {
            assert_is_closed(client, 1001).await;
        }
        assert!(matches!(server.tracker.permit(None), Err(Rejection::Draining)));
    }

    async fn a_refused_request_keeps_its_connection(rt) {
        let server = Server::new(&rt);
        drop(server.drain(Drain::new()).await);
        let (mut request, mut far) = raw_upgrade();
        request.extensions_mut().insert(server.tracker.clone());
        let refused = support::upgrades::Upgrade::from_request(&mut request);
        assert!(matches!(refused, Err(Rejection::Draining)));
        request.extensions_mut().remove::<Tracker>();
        let ws = support::upgrades::extract_from(request, &rt);
        let answer = ws.on_upgrade(echo);
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        far.write_all(&masked(0x81, b"hello")).await.unwrap();
        let mut echoed = [0; 7];
        far.read_exact(&mut echoed).await.unwrap();
        assert_eq!(echoed, *b"\x81\x05hello");
    }
}

/// In a turn of 256 frames, a call for each discarded one would not fit on this stack.
#[test]
fn a_flood_is_discarded_on_a_small_stack() {
    let flood = move || {
        let tracker = Tracker::new();
        let config = Still::without_timers()
            .config()
            .set_tracker(tracker.clone());
        let (near, mut far) = testing::duplex();
        let mut socket = testing::server(near, &config).unwrap();
        let mut drain = pin!(tracker.drain(Drain::new()));
        assert!(drain.as_mut().now_or_never().is_none());
        let frames = [masked(0x81, b"").repeat(1000), masked(0x88, &[])].concat();
        let received = futures::executor::block_on(async {
            far.write_all(&frames).await.unwrap();
            socket.next().await
        });
        assert!(matches!(received, Some(Ok(Message::Close(None)))));
    };
    let thread = std::thread::Builder::new().stack_size(128 * 1024);
    thread.spawn(flood).unwrap().join().unwrap();
}

#[test]
fn it_works_without_timers() {
    let tracker = Tracker::new();
    let (near, mut far) = testing::duplex();
    let config = Still::without_timers()
        .config()
        .set_tracker(tracker.clone());
    let mut socket = testing::server(near, &config).unwrap();
    let mut drain = pin!(tracker.drain(Drain::new()));
    assert!(drain.as_mut().now_or_never().is_none());
    assert!(socket.next().now_or_never().is_none());
    futures::executor::block_on(async {
        far.write_all(&masked(0x88, &[])).await.unwrap();
        assert!(matches!(
            socket.next().await,
            Some(Ok(Message::Close(None)))
        ));
        drop(socket);
        assert_drained(&drain.await, 1, 0);
    });
}
