//! Tasks of the user's own that a drain awaits and drops.

use std::{future::pending, time::Duration};

use anyws::{Drain, testing};
use futures::{FutureExt, channel::oneshot, future::join_all};
use support::runtimes;

use super::server::{ALMOST, DEADLINE, Dropped, GRACE, Server, assert_drained, assert_is_closed};

/// More than the seats that a tracker hands out in turn.
const PLACES: usize = 64;

runtimes! {
    async fn a_guarded_future_returns_its_output(rt) {
        let server = Server::new(&rt);
        assert_eq!(server.tracker.guard(async { 1 }).await, Some(1));
        assert_drained(&server.tracker.drain(Drain::new()).await, 0, 0);
        assert_eq!(server.tracker.guard(async { 1 }).await, Some(1), "nothing is aborted");
    }

    async fn a_drain_awaits_a_guarded_future_and_drops_it_at_the_deadline(rt) {
        let server = Server::new(&rt);
        let config = server.config().set_tracker(server.tracker.clone());
        let (near, far) = testing::duplex();
        let socket = testing::server(near, &config).unwrap();
        let mut client = testing::client(far, &server.config()).unwrap();
        let (stuck, mut is_dropped) = Dropped::new();
        let guarded = server.time.run(server.tracker.guard(async {
            let _kept = (socket, stuck);
            pending::<()>().await;
        }));
        let mut drained = server.drain(Drain::new()).await;
        server.time.advance(ALMOST).await;
        assert_eq!((is_dropped.try_recv(), drained.try_recv()), (Ok(None), Ok(None)));
        server.time.advance(Duration::from_millis(1)).await;
        is_dropped.await.unwrap();
        assert_eq!(guarded.await.unwrap(), None);
        assert_is_closed(&mut client, 1001).await;
        assert_drained(&drained.await.unwrap(), 0, 1);
    }

    async fn a_guarded_future_that_ends_in_time_is_awaited(rt) {
        let server = Server::new(&rt);
        let (end, ended) = oneshot::channel();
        let guarded = server.time.run(server.tracker.guard(ended));
        let mut drained = server.drain(Drain::new()).await;
        server.time.advance(DEADLINE / 2).await;
        assert_eq!(drained.try_recv(), Ok(None));
        end.send("done").unwrap();
        assert_eq!(guarded.await.unwrap(), Some(Ok("done")));
        let drained = drained.await.unwrap();
        assert_drained(&drained, 0, 0);
        assert_eq!(drained.took, DEADLINE / 2);
    }

    async fn a_guarded_future_in_the_place_of_a_socket_is_dropped_at_the_deadline(rt) {
        let server = Server::new(&rt);
        let _kept = server.tracker.permit(None).unwrap();
        let permits: Vec<_> = (0..PLACES).map(|_| server.tracker.permit(None)).collect();
        let drained = server.drain(Drain::new().spread(DEADLINE / 2)).await;
        drop(permits);
        // They get the places of sockets that the drain still means to ask.
        let guard = || server.time.run(server.tracker.guard(pending::<()>()));
        let guarded: Vec<_> = (0..PLACES).map(|_| guard()).collect();
        server.time.advance(DEADLINE).await;
        assert_eq!(join_all(guarded).await, vec![Ok(None); PLACES]);
        server.time.advance(GRACE).await;
        assert_drained(&drained.await.unwrap(), PLACES, 1);
    }

    async fn a_guarded_future_that_is_dropped_is_not_awaited(rt) {
        let server = Server::new(&rt);
        let mut guarded = Box::pin(server.tracker.guard(pending::<()>()));
        assert!(guarded.as_mut().now_or_never().is_none());
        drop(guarded);
        // Nor is one that was never polled.
        drop(server.tracker.guard(pending::<()>()));
        assert_drained(&server.tracker.drain(Drain::new()).await, 0, 0);
    }
}
