//! What becomes of a message at members that do not read, and that it adds up.

use anyws::{CloseCode, Message, WhenFull, hub::Hub};
use support::{runtimes, tasks::assert_pending};

use super::{Member, bounds};

runtimes! {
    async fn each_policy_of_a_full_queue_is_counted(rt) {
        let hub = Hub::new();
        let policies = [
            WhenFull::DropNewest,
            WhenFull::DropOldest,
            WhenFull::Close,
            WhenFull::Wait,
        ];
        let members = policies.map(|policy| Member::with_queue(&rt, bounds(1, policy)));
        let _memberships = members
            .each_ref()
            .map(|member| hub.join("room", &member.sender));
        let counts = [(); 3].map(|()| {
            let delivered = hub.publish("room", "x");
            assert_eq!(delivered.total(), 4);
            (
                delivered.queued,
                delivered.dropped,
                delivered.closed,
                delivered.gone,
            )
        });
        assert_eq!(counts, [(4, 0, 0, 0), (1, 1, 2, 0), (1, 1, 0, 2)]);
        let dropped = members
            .each_ref()
            .map(|member| member.sender.buffered().dropped);
        assert_eq!(dropped, [2, 2, 1, 1]);
        for (mut member, policy) in members.into_iter().zip(policies) {
            if matches!(policy, WhenFull::DropNewest | WhenFull::DropOldest) {
                assert_eq!(member.read(1).await, ["x"], "{policy:?}");
                continue;
            }
            member.socket.flush().await.unwrap_err();
            drop(member.socket);
            let closed = member.client.next().await.unwrap().unwrap();
            let Message::Close(Some(frame)) = closed else {
                panic!("{closed:?}");
            };
            assert_eq!(frame.code, CloseCode::Again, "{policy:?}");
        }
    }

    async fn a_burst_is_delivered_in_order_and_counted_by_message(rt) {
        let hub = Hub::new();
        let mut all = Member::new(&rt);
        let few = Member::with_queue(&rt, bounds(2, WhenFull::DropNewest));
        let none = Member::with_queue(&rt, bounds(2, WhenFull::Close));
        let _memberships = [
            hub.join("room", &all.sender),
            hub.join("room", &few.sender),
            hub.join("room", &none.sender),
        ];
        let delivered = hub.publish_all("room", ["1", "2", "3", "4"]);
        // The third message closes the last member.
        let counts = (
            delivered.queued,
            delivered.dropped,
            delivered.closed,
            delivered.gone,
        );
        assert_eq!(counts, (4 + 2 + 2, 2, 1, 1));
        assert_eq!(delivered.total(), 12);
        assert_eq!(all.read(4).await, ["1", "2", "3", "4"]);
        assert_eq!(hub.publish_all("room", [""; 0]).total(), 0);
    }

    async fn an_invalid_message_reaches_nobody(rt) {
        let hub = Hub::new();
        let ann = Member::new(&rt);
        let _membership = hub.join("room", &ann.sender);
        let delivered = hub.publish("room", Message::Ping(vec![0; 126].into()));
        assert_eq!((delivered.dropped, delivered.total()), (1, 1));
        assert_eq!(ann.queued(), 0);
        // Control frames have a bound of their own.
        let pings = [(); 17].map(|()| hub.publish("room", Message::Ping("x".into())));
        assert!(pings[..16].iter().all(|ping| ping.queued == 1));
        assert_eq!((pings[16].dropped, pings[16].total()), (1, 1));
    }

    async fn a_close_is_one_message_like_any_other(rt) {
        let hub = Hub::new();
        let mut ann = Member::new(&rt);
        let _membership = hub.join("room", &ann.sender);
        hub.publish("room", "bye");
        assert_eq!(hub.publish("room", Message::Close(None)).queued, 1);
        assert_eq!(hub.publish("room", "too late").gone, 1);
        assert_eq!(ann.read(1).await, ["bye"]);
        assert!(ann.client.next().await.unwrap().unwrap().is_close());
    }

    async fn a_hub_goes_before_senders_that_wait_and_then_closes(rt) {
        let hub = Hub::new();
        let ann = Member::with_queue(&rt, bounds(4, WhenFull::Wait));
        let _membership = hub.join("room", &ann.sender);
        for _ in 0..4 {
            ann.sender.try_send("x").unwrap();
        }
        let mut waiting = ann.sender.send("waits");
        assert_pending(&mut waiting);
        assert_eq!(hub.publish("room", "x").closed, 1);
        waiting.await.unwrap_err();
    }
}
