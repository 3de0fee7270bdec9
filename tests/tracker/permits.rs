//! Permits come back, whatever becomes of a handshake or its socket.

use anyws::{Error, ServerHandshake, Tracker, UpgradeIo, WebSocket, testing};
use futures::AsyncWriteExt;
use http::StatusCode;
use support::{
    raw::{Request, masked},
    runtimes,
    upgrades::{echo, failure, raw_upgrade, request_on},
};

use super::server::Server;

runtimes! {
    async fn an_extractor_that_is_dropped_gives_it_back(rt) {
        let server = Server::new(&rt);
        let (request, _client) = testing::upgrade("/");
        let upgrade = server.extract(request).unwrap();
        assert_eq!(server.tracker.open(), 1);
        drop(upgrade);
        assert_eq!(server.tracker.open(), 0);
    }

    async fn a_refused_handshake_gives_it_back(rt) {
        let server = Server::new(&rt);
        let (request, _client) = testing::upgrade("/");
        let upgrade = server.extract(request).unwrap();
        let (response, upgrading) = upgrade.allowed_origins(["https://app.example"]).accept();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(server.tracker.open(), 0);
        assert!(matches!(upgrading.await, Err(Error::Rejected(_))));
    }

    async fn an_upgrading_that_is_dropped_gives_it_back(rt) {
        let server = Server::new(&rt);
        let (request, _client) = testing::upgrade("/");
        let (_, upgrading) = server.extract(request).unwrap().accept();
        assert_eq!(server.tracker.open(), 1);
        drop(upgrading);
        assert_eq!(server.tracker.open(), 0);
    }

    async fn a_failed_upgrade_gives_it_back(rt) {
        let server = Server::new(&rt);
        let (callback, failed) = failure();
        let request = request_on(async { Err("the client has left".into()) });
        let upgrade = server.extract(request).unwrap();
        let _ = upgrade.on_failed_upgrade(callback).on_upgrade(echo);
        assert!(matches!(failed.await, Ok(Error::Upgrade(_))));
        server.time.settle().await;
        assert_eq!(server.tracker.open(), 0);
    }

    async fn a_server_without_upgrades_takes_none(rt) {
        let server = Server::new(&rt);
        let (mut request, _client) = testing::upgrade("/");
        request.extensions_mut().remove::<UpgradeIo>();
        assert!(server.extract(request).is_err());
        assert_eq!(server.tracker.open(), 0);
    }

    async fn a_handler_that_panics_or_fails_gives_it_back(rt) {
        let server = Server::new(&rt);
        let panicking = server.open(async |_: WebSocket| panic!("as the test wants it")).await;
        let failing = server.open(async |_: WebSocket| Err::<(), _>("as the test wants it")).await;
        for mut client in [panicking, failing] {
            while client.next().await.is_some() {}
            client.close(None).await.unwrap();
        }
        server.time.settle().await;
        assert_eq!(server.tracker.open(), 0);
    }

    async fn a_peer_that_resets_gives_it_back(rt) {
        let server = Server::new(&rt);
        let (request, far) = raw_upgrade();
        let _ = server.extract(request).unwrap().on_upgrade(echo);
        drop(far);
        server.time.settle().await;
        assert_eq!(server.tracker.open(), 0);
    }

    async fn an_abort_gives_it_back(rt) {
        let server = Server::new(&rt);
        let (told, aborted) = futures::channel::oneshot::channel();
        let _client = server
            .open(async |mut socket: WebSocket| {
                socket.abort();
                let _ = told.send(socket);
            })
            .await;
        let socket = aborted.await.unwrap();
        assert_eq!(server.tracker.open(), 0);
        drop(socket);
        assert_eq!(server.tracker.open(), 0);
    }

    async fn a_permit_by_hand_counts_and_the_trackers_of_the_settings_are_not_asked(rt) {
        let server = Server::new(&rt);
        let other = Tracker::new().max_sockets(0);
        let (near, mut far) = testing::duplex();
        far.write_all(&Request::new().bytes()).await.unwrap();
        let config = server.config().set_tracker(other.clone());
        let permit = server.tracker.permit(None).unwrap();
        let handshake = ServerHandshake::read(near, config).await.unwrap().permit(permit);
        assert_eq!(server.tracker.open(), 1);
        let mut socket = handshake.accept().await.unwrap();
        assert_eq!((server.tracker.open(), other.open()), (1, 0));
        far.write_all(&masked(0x88, &[])).await.unwrap();
        assert!(socket.next().await.unwrap().is_ok());
        assert_eq!(server.tracker.open(), 0);
    }

    async fn a_tracker_of_the_request_is_asked_in_the_place_of_that_of_the_settings(rt) {
        let server = Server::new(&rt);
        let other = Tracker::new().max_sockets(0);
        let (request, client) = testing::upgrade("/");
        let config = server.config().set_tracker(other.clone());
        let upgrade = server.extract(request).unwrap().set_config(config);
        let response = upgrade.on_upgrade(echo);
        assert_eq!((server.tracker.open(), other.open()), (1, 0));
        client.set_config(server.config()).open(&response).unwrap().close(None).await.unwrap();
        server.time.settle().await;
        assert_eq!(server.tracker.open(), 0);
    }

    async fn many_sockets_leave_no_permit_behind(rt) {
        let server = Server::new(&rt);
        for round in 0..50 {
            let mut clients = Vec::new();
            for _ in 0..20 {
                clients.push(server.open(echo).await);
            }
            assert_eq!(server.tracker.open(), 20, "{round}");
            for mut client in clients {
                client.close(None).await.unwrap();
            }
            server.time.settle().await;
            assert_eq!(server.tracker.open(), 0, "{round}");
        }
    }
}

#[test]
fn dropping_a_permit_gives_it_back() {
    let tracker = Tracker::new();
    let permit = tracker.permit(None).unwrap();
    assert_eq!(tracker.open(), 1);
    drop(permit);
    assert_eq!(tracker.open(), 0);
}
