//! What a drain ends at its deadline.

use std::{
    future::{pending, poll_fn},
    pin::Pin,
    time::Duration,
};

use anyws::{Drain, Error, Message, TimeoutPhase, WebSocket, testing};
use futures::{AsyncReadExt, AsyncWriteExt, Stream, channel::oneshot};
use support::{
    raw::masked,
    runtimes,
    upgrades::{echo, raw_upgrade},
};

use super::server::{ALMOST, DEADLINE, Dropped, GRACE, Server, assert_drained, assert_is_closed};

runtimes! {
    async fn a_stuck_handler_is_dropped_with_1001(rt) {
        let server = Server::new(&rt);
        let (stuck, mut is_dropped) = Dropped::new();
        let mut client = server
            .open(async |socket: WebSocket| {
                let _kept = (socket, stuck);
                pending::<()>().await;
            })
            .await;
        let (failing, mut failing_is_dropped) = Dropped::new();
        let mut failing_client = server
            .open(async |socket: WebSocket| {
                let _kept = (socket, failing);
                pending::<Result<(), Error>>().await
            })
            .await;
        let drained = server.drain(Drain::new()).await;
        server.time.advance(ALMOST).await;
        assert_eq!((is_dropped.try_recv(), failing_is_dropped.try_recv()), (Ok(None), Ok(None)));
        server.time.advance(Duration::from_millis(1)).await;
        is_dropped.await.unwrap();
        failing_is_dropped.await.unwrap();
        assert_is_closed(&mut client, 1001).await;
        assert_is_closed(&mut failing_client, 1001).await;
        let drained = drained.await.unwrap();
        assert_drained(&drained, 0, 2);
        assert_eq!((drained.took, server.tracker.open()), (DEADLINE, 0));
    }

    async fn a_handler_that_is_stuck_without_its_socket_is_dropped_too(rt) {
        let server = Server::new(&rt);
        let (stuck, is_dropped) = Dropped::new();
        let mut client = server
            .open(async |mut socket: WebSocket| {
                let _stuck = stuck;
                while socket.next().await.is_some() {}
                drop(socket);
                pending::<()>().await;
            })
            .await;
        let drained = server.drain(Drain::new()).await;
        assert_is_closed(&mut client, 1001).await;
        assert!(client.next().await.is_none());
        server.pass_deadline().await;
        is_dropped.await.unwrap();
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn a_peer_that_never_answers(rt) {
        let server = Server::new(&rt);
        let (request, mut far) = raw_upgrade();
        let _ = server.extract(request).unwrap().on_upgrade(echo);
        let drained = server.drain(Drain::new()).await;
        server.pass_deadline().await;
        assert_drained(&drained.await.unwrap(), 0, 1);
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"\x88\x0f\x03\xe9shutting down");
    }

    async fn a_peer_that_never_reads(rt) {
        let server = Server::new(&rt);
        let (request, far) = raw_upgrade();
        let (stuck, is_dropped) = Dropped::new();
        let _ = server.extract(request).unwrap().on_upgrade(async |mut socket: WebSocket| {
            let _stuck = stuck;
            loop {
                if socket.send(vec![0; 65536].into()).await.is_err() {
                    pending::<()>().await;
                }
            }
        });
        let drained = server.drain(Drain::new()).await;
        server.pass_deadline().await;
        is_dropped.await.unwrap();
        assert_drained(&drained.await.unwrap(), 0, 1);
        drop(far);
    }

    async fn a_peer_that_sends_for_ever(rt) {
        let server = Server::new(&rt);
        let (request, far) = raw_upgrade();
        let (start, started) = oneshot::channel();
        let _ = server.extract(request).unwrap().on_upgrade(|socket| {
            let _ = start.send(());
            echo(socket)
        });
        started.await.unwrap();
        let (mut read, mut write) = far.split();
        let sent = server.time.run(async move {
            while write.write_all(&masked(0x82, &[0; 1000])).await.is_ok() {}
        });
        let received = server.time.run(async move {
            let mut all = Vec::new();
            let _ = read.read_to_end(&mut all).await;
            all
        });
        // The time is not moved by `advance`, which waits until all tasks rest.
        let tracker = server.tracker.clone();
        let mut drained = support::tasks::spawn(&rt, async move {
            tracker.drain(Drain::new()).await
        });
        support::tasks::yield_to_tasks(&rt).await;
        for _ in 0..1000 {
            server.time.jump(DEADLINE);
            support::tasks::yield_to_tasks(&rt).await;
            if let Some(drained) = drained.try_recv().unwrap() {
                assert_drained(&drained, 0, 1);
                sent.await.unwrap();
                let all = received.await.unwrap();
                let close = b"\x88\x0f\x03\xe9shutting down";
                assert!(all.ends_with(close), "{:?}", &all[all.len().saturating_sub(40)..]);
                return;
            }
        }
        panic!("the drain does not end");
    }

    async fn a_bare_socket_without_a_guard_gets_an_error(rt) {
        let server = Server::new(&rt);
        let config = server.config().set_tracker(server.tracker.clone());
        let (near, mut far) = testing::duplex();
        let mut socket = testing::server(near, &config).unwrap();
        let ended = server.time.run(async move {
            let end = socket.next().await;
            (end, socket.next().await, socket)
        });
        let drained = server.drain(Drain::new()).await;
        server.pass_deadline().await;
        let (end, then, socket) = ended.await.unwrap();
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Drain)))), "{end:?}");
        assert!(then.is_none());
        assert_drained(&drained.await.unwrap(), 0, 1);
        drop(socket);
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"\x88\x0f\x03\xe9shutting down");
    }

    async fn messages_that_have_ended_end_only_once(rt) {
        for has_seen_the_end in [false, true] {
            let server = Server::new(&rt);
            let config = server.config().set_tracker(server.tracker.clone());
            let (near, mut far) = testing::duplex();
            let mut socket = testing::server(near, &config).unwrap();
            far.write_all(&masked(0x88, &[])).await.unwrap();
            assert!(socket.next().await.unwrap().unwrap().is_close());
            if has_seen_the_end {
                assert!(socket.next().await.is_none());
            }
            let stuck = server.time.run(server.tracker.guard(pending::<()>()));
            let drained = server.drain(Drain::new()).await;
            server.pass_deadline().await;
            assert_eq!(stuck.await.unwrap(), None);
            let next = poll_fn(|cx| Pin::new(&mut socket).poll_next(cx)).await;
            assert!(next.is_none(), "{next:?}");
            let sent = socket.send("late".into()).await;
            assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
            assert_drained(&drained.await.unwrap(), 0, 0);
            let mut answer = Vec::new();
            far.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"\x88\x00");
        }
    }

    async fn a_bare_socket_that_waits_to_write_gets_an_error(rt) {
        let server = Server::new(&rt);
        let config = server.config().set_tracker(server.tracker.clone());
        let (near, far) = testing::duplex();
        let mut socket = testing::server(near, &config).unwrap();
        let ended = server.time.run(async move {
            loop {
                if let Err(error) = socket.send(vec![0; 65536].into()).await {
                    return error;
                }
            }
        });
        let drained = server.drain(Drain::new()).await;
        server.pass_deadline().await;
        let error = ended.await.unwrap();
        assert!(matches!(error, Error::Timeout(TimeoutPhase::Drain)), "{error:?}");
        assert!(error.is_disconnect());
        assert_drained(&drained.await.unwrap(), 0, 1);
        drop(far);
    }

    async fn a_half_that_has_got_the_peers_close_gets_no_error_of_a_blocked_write(rt) {
        let server = Server::new(&rt);
        let config = server.config().set_tracker(server.tracker.clone());
        let (near, mut far) = testing::duplex();
        let (mut sender, mut receiver) = testing::server(near, &config).unwrap().split();
        let sending = server.time.run(async move {
            while sender.send(vec![0; 65536].into()).await.is_ok() {}
            sender
        });
        server.time.settle().await;
        far.write_all(&masked(0x88, &[3, 0xe8])).await.unwrap();
        assert!(matches!(receiver.next().await, Some(Ok(Message::Close(_)))));
        assert!(receiver.next().await.is_none());
        let drained = server.drain(Drain::new()).await;
        server.pass_deadline().await;
        let sender = sending.await.unwrap();
        let end = receiver.next().await;
        assert!(end.is_none(), "{end:?}");
        assert_drained(&drained.await.unwrap(), 0, 1);
        drop((sender, far));
    }

    async fn a_handler_on_a_blocked_thread_is_not_awaited_for_ever(rt) {
        let server = Server::new(&rt);
        let config = server.config().set_tracker(server.tracker.clone());
        let (near, _far) = testing::duplex();
        // Nobody polls it, as on a thread that is blocked.
        let socket = testing::server(near, &config).unwrap();
        let drained = server.drain(Drain::new()).await;
        server.time.advance(DEADLINE + GRACE).await;
        let drained = drained.await.unwrap();
        assert_drained(&drained, 0, 1);
        assert_eq!(drained.took, DEADLINE + GRACE);
        drop(socket);
        server.time.settle().await;
        assert_eq!(server.tracker.open(), 0);
    }

    async fn a_task_that_closes_after_a_drop_is_ended(rt) {
        let server = Server::new(&rt);
        let (request, mut far) = raw_upgrade();
        let _ = server.extract(request).unwrap().on_upgrade(async |socket: WebSocket| drop(socket));
        let mut close = [0; 4];
        far.read_exact(&mut close).await.unwrap();
        assert_eq!(close, *b"\x88\x02\x03\xe8");
        let drained = server.drain(Drain::new()).await;
        server.pass_deadline().await;
        assert_drained(&drained.await.unwrap(), 0, 1);
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    }

    async fn a_socket_that_only_waits_for_the_end_of_tcp_is_ended_with_the_others(rt) {
        let server = Server::new(&rt);
        let (stuck, is_dropped) = Dropped::new();
        let _client = server
            .open(async |socket: WebSocket| {
                let _kept = (socket, stuck);
                pending::<()>().await;
            })
            .await;
        let (request, mut far) = raw_upgrade();
        let _ = server.extract(request).unwrap().on_upgrade(echo);
        far.write_all(&masked(0x88, &[])).await.unwrap();
        let mut answer = [0; 2];
        far.read_exact(&mut answer).await.unwrap();
        server.time.settle().await;
        assert_eq!(server.tracker.open(), 1, "the stuck one");
        let drained = server.drain(Drain::new()).await;
        far.write_all(&[0]).await.unwrap();
        server.pass_deadline().await;
        is_dropped.await.unwrap();
        assert_drained(&drained.await.unwrap(), 0, 1);
        server.time.settle().await;
        assert!(far.write_all(&[0]).await.is_err(), "the stream is still there");
    }

    async fn a_handshake_that_is_never_completed(rt) {
        let server = Server::new(&rt);
        let request = support::upgrades::request_on(pending());
        let (failed, is_failed) = oneshot::channel();
        let _ = server
            .extract(request)
            .unwrap()
            .set_config(server.config().set_upgrade_timeout(100 * DEADLINE))
            .on_failed_upgrade(|error| failed.send(error).unwrap())
            .on_upgrade(echo);
        let drained = server.drain(Drain::new()).await;
        server.pass_deadline().await;
        assert!(matches!(is_failed.await, Ok(Error::Upgrade(_))));
        assert_drained(&drained.await.unwrap(), 0, 1);
    }

    async fn an_earlier_deadline_can_be_set(rt) {
        let server = Server::new(&rt);
        let (stuck, is_dropped) = Dropped::new();
        let mut client = server
            .open(async |socket: WebSocket| {
                let _kept = (socket, stuck);
                pending::<()>().await;
            })
            .await;
        let drained = server.drain(Drain::new().deadline(DEADLINE / 10)).await;
        server.time.advance(DEADLINE / 10).await;
        is_dropped.await.unwrap();
        assert_is_closed(&mut client, 1001).await;
        assert_eq!(drained.await.unwrap().took, DEADLINE / 10);
    }
}

#[cfg(feature = "rt-tokio")]
#[test]
fn a_runtime_that_ends_during_a_drain_leaves_no_socket_behind() {
    let tracker = anyws::Tracker::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut clients = Vec::new();
    runtime.block_on(async {
        for _ in 0..10 {
            let (near, far) = testing::duplex();
            let config = anyws::WebSocketConfig::new().set_tracker(tracker.clone());
            let mut socket = testing::server(near, &config).unwrap();
            tokio::spawn(async move { while socket.next().await.is_some() {} });
            clients.push(far);
        }
        tokio::task::yield_now().await;
        let draining = tracker.clone();
        tokio::spawn(async move { draining.drain(Drain::new().spread(DEADLINE)).await });
        tracker.draining().await;
    });
    assert_eq!(tracker.open(), 10);
    drop(runtime);
    assert_eq!(tracker.open(), 0);
    for mut client in clients {
        let mut all = Vec::new();
        futures::executor::block_on(client.read_to_end(&mut all)).unwrap();
        assert_eq!(&all[..4], b"\x88\x0f\x03\xe9");
    }
    let drained = futures::executor::block_on(tracker.drain(Drain::new()));
    assert_drained(&drained, 10, 0);
}
