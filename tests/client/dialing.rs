//! How a client finds an address that accepts (RFC 8305), in a network whose time a test moves.

use std::{io, sync::Arc, time::Duration};

use anyws::{
    ClientBuilder, Drain, Error, Network, Rejection, Runtime, TimeoutPhase, Tracker, testing,
};
use futures::{AsyncReadExt, channel::oneshot::Receiver, poll};
use support::{
    network::{Address, Scripted},
    runtimes,
    still::Still,
    time::Paused,
};

use crate::server::{Opened, Server};

const REFUSES: Address = Address::Refuses;
const BLACK_HOLE: Address = Address::BlackHole;
const ACCEPTS: Address = Address::Accepts;

/// A client that connects in a network with these addresses.
fn dial(paused: &Arc<Paused>, addresses: &[(&str, Address)]) -> (Arc<Scripted>, Receiver<Opened>) {
    let runtime: Arc<dyn Runtime> = paused.clone();
    let network = Scripted::new(&runtime, addresses);
    let client = ClientBuilder::new("ws://a.example:90/").config(paused.config());
    let connecting = paused.run(client.network(network.clone()).connect());
    (network, connecting)
}

/// Answers the client that was accepted, which has to be there.
async fn answer(network: &Scripted, connecting: Receiver<Opened>) {
    let mut server = Server::read(network.accepted().expect("an address accepts")).await;
    let answer = server.answer();
    server.send(&answer).await;
    connecting.await.unwrap().unwrap();
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

runtimes! {
    async fn the_families_take_turns(rt) {
        let paused = Paused::new(&rt);
        let (network, connecting) = dial(
            &paused,
            &[
                ("[::1]:90", REFUSES),
                ("[::2]:90", REFUSES),
                ("[::3]:90", REFUSES),
                ("1.1.1.1:90", REFUSES),
                ("2.2.2.2:90", ACCEPTS),
            ],
        );
        paused.settle().await;
        answer(&network, connecting).await;
        assert_eq!(network.resolved(), ["a.example:90"]);
        let order = ["[::1]:90", "1.1.1.1:90", "[::2]:90", "2.2.2.2:90"];
        assert_eq!(network.tried(), order, "at once, because each refused");
    }

    async fn the_first_family_is_that_of_the_resolver(rt) {
        let paused = Paused::new(&rt);
        let (network, connecting) = dial(
            &paused,
            &[
                ("1.1.1.1:90", REFUSES),
                ("[::1]:90", ACCEPTS),
                ("2.2.2.2:90", ACCEPTS),
            ],
        );
        paused.settle().await;
        answer(&network, connecting).await;
        assert_eq!(network.tried(), ["1.1.1.1:90", "[::1]:90"]);
    }

    async fn a_black_hole_costs_250_ms(rt) {
        let paused = Paused::new(&rt);
        let (network, mut connecting) = dial(
            &paused,
            &[
                ("[::1]:90", BLACK_HOLE),
                ("1.1.1.1:90", BLACK_HOLE),
                ("[::2]:90", ACCEPTS),
            ],
        );
        paused.settle().await;
        assert_eq!(network.tried(), ["[::1]:90"]);
        paused.advance(millis(249)).await;
        assert_eq!(network.tried().len(), 1);
        paused.advance(millis(1)).await;
        assert_eq!(network.tried().len(), 2);
        assert!(poll!(&mut connecting).is_pending());
        assert_eq!(network.open(), 2);
        paused.advance(millis(250)).await;
        answer(&network, connecting).await;
        assert_eq!(network.open(), 0, "those that lost are given up");
    }

    async fn an_address_that_refuses_does_not_wait_for_those_before_it(rt) {
        let paused = Paused::new(&rt);
        let (network, connecting) = dial(
            &paused,
            &[
                ("[::1]:90", BLACK_HOLE),
                ("1.1.1.1:90", REFUSES),
                ("[::2]:90", ACCEPTS),
            ],
        );
        paused.settle().await;
        paused.advance(millis(250)).await;
        answer(&network, connecting).await;
        assert_eq!(network.tried().len(), 3);
    }

    async fn if_all_refuse_each_is_told(rt) {
        let paused = Paused::new(&rt);
        let (network, connecting) =
            dial(&paused, &[("[::1]:90", REFUSES), ("1.1.1.1:90", REFUSES)]);
        let Err(Error::Connect(errors)) = connecting.await.unwrap() else {
            panic!("no address accepts")
        };
        let addresses: Vec<_> = errors
            .iter()
            .map(|(address, _)| address.to_string())
            .collect();
        assert_eq!(addresses, network.tried());
        assert_eq!(addresses, ["[::1]:90", "1.1.1.1:90"]);
        assert!(
            errors
                .iter()
                .all(|(_, error)| error.kind() == io::ErrorKind::ConnectionRefused)
        );
    }

    async fn the_time_for_all_of_it_is_bounded(rt) {
        for (timeout, seconds) in [(None, 10), (Some(millis(3000)), 3)] {
            let paused = Paused::new(&rt);
            let runtime: Arc<dyn Runtime> = paused.clone();
            let network = Scripted::new(
                &runtime,
                &[("[::1]:90", BLACK_HOLE), ("1.1.1.1:90", BLACK_HOLE)],
            );
            let mut client = ClientBuilder::new("ws://a:90").network(network.clone());
            if let Some(timeout) = timeout {
                client = client.connect_timeout(timeout);
            }
            let mut connecting = paused.run(client.connect());
            paused.settle().await;
            paused.advance(millis(seconds * 1000 - 1)).await;
            assert!(poll!(&mut connecting).is_pending());
            paused.advance(millis(1)).await;
            let opened = connecting.await.unwrap();
            assert!(
                matches!(opened, Err(Error::Timeout(TimeoutPhase::Connect))),
                "{opened:?}"
            );
            assert_eq!((network.open(), paused.timers()), (0, 0));
        }
    }

    /// For each step of connecting, the error says which one took too long.
    async fn a_resolver_that_hangs_is_told(rt) {
        let paused = Paused::new(&rt);
        let runtime: Arc<dyn Runtime> = paused.clone();
        let network = Scripted::without_answers(&runtime);
        let connecting = paused.run(ClientBuilder::new("ws://a:90").network(network).connect());
        paused.advance(millis(10_000)).await;
        let opened = connecting.await.unwrap();
        let is_told = matches!(opened, Err(Error::Timeout(TimeoutPhase::Resolve)));
        assert!(is_told, "{opened:?}");
        assert_eq!(paused.timers(), 0);
    }

    async fn a_drain_does_not_wait_for_a_client_that_connects(rt) {
        let paused = Paused::new(&rt);
        let runtime: Arc<dyn Runtime> = paused.clone();
        let tracker = Tracker::new().runtime(runtime.clone());
        let config = paused.config().set_tracker(tracker.clone());
        let network = Scripted::new(&runtime, &[("[::1]:90", BLACK_HOLE)]);
        let client = ClientBuilder::new("ws://a:90").config(config);
        let connecting = paused.run(client.clone().network(network.clone()).connect());
        let (near, mut far) = testing::duplex();
        let over = paused.run(client.connect_over(near));
        paused.settle().await;
        assert_eq!((tracker.open(), network.open()), (2, 1));
        let drained = paused.run({
            let tracker = tracker.clone();
            async move { tracker.drain(Drain::new()).await }
        });
        for opened in [connecting.await.unwrap(), over.await.unwrap()] {
            assert!(
                matches!(opened, Err(Error::Rejected(Rejection::Draining))),
                "{opened:?}"
            );
        }
        assert_eq!(drained.await.unwrap().aborted, 0);
        assert_eq!((tracker.open(), network.open()), (0, 0));
        let mut request = Vec::new();
        far.read_to_end(&mut request).await.unwrap();
        assert!(request.starts_with(b"GET / "));
    }

    async fn a_client_that_is_dropped_gives_its_attempts_up(rt) {
        let paused = Paused::new(&rt);
        let runtime: Arc<dyn Runtime> = paused.clone();
        let network = Scripted::new(
            &runtime,
            &[("[::1]:90", BLACK_HOLE), ("1.1.1.1:90", BLACK_HOLE)],
        );
        let client = ClientBuilder::new("ws://a:90").network(network.clone());
        let mut connecting = client.connect();
        assert!(poll!(&mut connecting).is_pending());
        assert_eq!((network.open(), paused.timers()), (1, 2));
        drop(connecting);
        assert_eq!(
            (network.open(), paused.timers(), paused.spawned()),
            (0, 0, 0)
        );
    }

    async fn an_address_is_not_resolved(rt) {
        let network = Scripted::new(&rt, &[]);
        for uri in ["ws://127.0.0.1:90", "ws://[::1]:90"] {
            let error = ClientBuilder::new(uri)
                .network(network.clone())
                .connect()
                .await;
            assert!(matches!(error, Err(Error::Connect(_))), "{error:?}");
        }
        assert_eq!(network.resolved(), Vec::<String>::new());
        assert_eq!(network.tried(), ["127.0.0.1:90", "[::1]:90"]);
    }

    async fn a_name_without_addresses_is_told(rt) {
        let network = Scripted::new(&rt, &[]);
        let error = ClientBuilder::new("ws://a.example")
            .network(network)
            .connect()
            .await;
        let Err(Error::Resolve { host, source }) = error else {
            panic!("{error:?}")
        };
        assert_eq!(
            (&*host, source.kind()),
            ("a.example", io::ErrorKind::NotFound)
        );
    }

    /// What the resolver of the system says about a name that cannot exist (RFC 6761, section 6.4).
    async fn a_name_that_is_unknown_is_told(rt) {
        let network: Arc<dyn Network> = support::network::network(&rt);
        let error = ClientBuilder::new("ws://a.invalid")
            .network(network)
            .connect()
            .await;
        let Err(Error::Resolve { host, .. }) = error else {
            panic!("{error:?}")
        };
        assert_eq!(&*host, "a.invalid");
    }
}

#[test]
fn without_timers_the_addresses_are_tried_one_after_the_other() {
    let still: Arc<dyn Runtime> = Arc::new(Still::without_timers());
    let addresses = [
        ("[::1]:90", REFUSES),
        ("1.1.1.1:90", BLACK_HOLE),
        ("[::2]:90", ACCEPTS),
    ];
    let network = Scripted::new(&still, &addresses);
    let mut connecting = ClientBuilder::new("ws://a:90")
        .network(network.clone())
        .connect();
    let pending = futures::executor::block_on(async { poll!(&mut connecting) });
    assert!(pending.is_pending());
    assert_eq!(network.tried(), ["[::1]:90", "1.1.1.1:90"]);
}
