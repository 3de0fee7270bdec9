//! Objects that several tasks poll, and futures that are dropped halfway.

use std::{
    future::pending,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Poll, Wake, Waker},
    time::Duration,
};

use anyws::{Drain, Message, SendHalf, WebSocket, testing};
use futures::{StreamExt, channel::oneshot, stream::FuturesUnordered};
use support::{
    runtimes,
    tasks::{poll_with, waker},
    upgrades::echo,
};

use super::server::{DEADLINE, Dropped, Server, assert_drained, assert_is_closed};

/// A waker that ends a socket at once.
struct AbortAsWoken(Mutex<Option<SendHalf>>);

impl Wake for AbortAsWoken {
    fn wake(self: Arc<Self>) {
        if let Some(mut sender) = self.0.lock().unwrap().take() {
            sender.abort();
        }
    }
}

runtimes! {
    async fn all_who_wait_for_a_drain_are_woken(rt) {
        let server = Server::new(&rt);
        let mut first = pin!(server.tracker.draining());
        let mut second = pin!(server.tracker.draining());
        let (one, one_is_woken) = waker();
        let (two, two_is_woken) = waker();
        assert!(poll_with(&one, first.as_mut()).is_pending());
        assert!(poll_with(&two, second.as_mut()).is_pending());
        // The task of a future may change.
        let (three, three_is_woken) = waker();
        assert!(poll_with(&three, first.as_mut()).is_pending());
        server.tracker.drain(Drain::new()).await;
        assert!(three_is_woken.take() && two_is_woken.take() && !one_is_woken.take());
        assert!(poll_with(&one, first.as_mut()).is_ready());
        assert!(poll_with(&two, second.as_mut()).is_ready());
    }

    async fn both_of_two_drains_end(rt) {
        let server = Server::new(&rt);
        let mut client = server.open(echo).await;
        let (mut first, mut second) = (
            Box::pin(server.tracker.drain(Drain::new())),
            Box::pin(server.tracker.drain(Drain::new())),
        );
        let (one, one_is_woken) = waker();
        let (two, two_is_woken) = waker();
        assert!(poll_with(&one, first.as_mut()).is_pending());
        assert!(poll_with(&two, second.as_mut()).is_pending());
        assert_is_closed(&mut client, 1001).await;
        server.time.settle().await;
        assert!(one_is_woken.take() && two_is_woken.take());
        for drain in [&mut first, &mut second] {
            match poll_with(&one, drain.as_mut()) {
                Poll::Ready(drained) => assert_drained(&drained, 1, 0),
                Poll::Pending => panic!("it waits"),
            }
        }
    }

    async fn a_guarded_future_wakes_the_task_that_has_polled_it_last(rt) {
        let server = Server::new(&rt);
        let mut guarded = pin!(server.tracker.guard(pending::<()>()));
        let (old, old_is_woken) = waker();
        let (new, new_is_woken) = waker();
        assert!(poll_with(&old, guarded.as_mut()).is_pending());
        assert!(poll_with(&new, guarded.as_mut()).is_pending());
        let drained = server.drain(Drain::new()).await;
        server.time.advance(DEADLINE).await;
        assert!(new_is_woken.take() && !old_is_woken.take());
        assert_eq!(poll_with(&new, guarded.as_mut()), Poll::Ready(None));
        assert_drained(&drained.await.unwrap(), 0, 0);
    }

    async fn a_handler_whose_socket_has_a_waker_of_its_own_is_told(rt) {
        let server = Server::new(&rt);
        let mut client = server
            .open(async |mut socket: WebSocket| {
                // It polls its futures only if their own wakers are woken.
                let receive = async move { while socket.next().await.is_some() {} };
                let futures: [Pin<Box<dyn Future<Output = ()> + Send>>; 1] = [Box::pin(receive)];
                FuturesUnordered::from_iter(futures).next().await;
            })
            .await;
        let drained = server.drain(Drain::new()).await;
        assert_is_closed(&mut client, 1001).await;
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn a_socket_that_another_task_has_is_told(rt) {
        let server = Server::new(&rt);
        let (give, given) = oneshot::channel();
        let mut client = server
            .open(async |socket: WebSocket| {
                let _ = give.send(socket);
                pending::<()>().await;
            })
            .await;
        let mut socket = given.await.unwrap();
        let other = server.time.run(async move { socket.next().await });
        let drained = server.drain(Drain::new()).await;
        assert_is_closed(&mut client, 1001).await;
        assert!(matches!(other.await.unwrap(), Some(Ok(Message::Close(_)))));
        // The handler itself is stuck.
        server.time.advance(DEADLINE).await;
        assert_drained(&drained.await.unwrap(), 1, 0);
    }

    async fn a_task_that_waits_for_a_drain_may_use_a_half_of_a_socket_as_it_is_woken(rt) {
        let server = Server::new(&rt);
        let config = server.config().set_tracker(server.tracker.clone());
        let (near, far) = testing::duplex();
        let (sender, mut receiver) = testing::server(near, &config).unwrap().split();
        let mut client = testing::client(far, &server.config()).unwrap();
        let mut drain = Box::pin(server.tracker.drain(Drain::new()));
        let waker = Waker::from(Arc::new(AbortAsWoken(Mutex::new(Some(sender)))));
        assert!(poll_with(&waker, drain.as_mut()).is_pending());
        let receiving = server.time.run(async move { receiver.next().await });
        assert_is_closed(&mut client, 1001).await;
        assert!(matches!(receiving.await.unwrap(), Some(Ok(Message::Close(_)))));
        assert_drained(&drain.await, 1, 0);
    }

    async fn a_drain_may_be_dropped_after_any_poll(rt) {
        for polls in 0..4 {
            let server = Server::new(&rt);
            let (stuck, is_dropped) = Dropped::new();
            let mut stuck_client = server
                .open(async |socket: WebSocket| {
                    let _kept = (socket, stuck);
                    pending::<()>().await;
                })
                .await;
            let mut client = server.open(echo).await;
            let mut drain = Box::pin(server.tracker.drain(Drain::new().spread(DEADLINE)));
            let (waker, _) = waker();
            for _ in 0..polls {
                assert!(poll_with(&waker, drain.as_mut()).is_pending());
                server.time.jump(DEADLINE / 10);
            }
            drop(drain);
            if polls > 0 {
                assert_is_closed(&mut client, 1001).await;
            }
            // Another one goes on, with the deadline of the first.
            let drained = server.drain(Drain::new()).await;
            server.time.advance(DEADLINE + Duration::from_secs(1)).await;
            is_dropped.await.unwrap();
            assert_is_closed(&mut stuck_client, 1001).await;
            if polls == 0 {
                assert_is_closed(&mut client, 1001).await;
            }
            let drained = drained.await.unwrap();
            assert_eq!(drained.closed + drained.aborted, 2);
        }
    }
}
