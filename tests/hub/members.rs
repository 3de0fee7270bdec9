//! Who gets what is published, and who does not.

use anyws::{PreparedMessage, hub::Hub};
use support::runtimes;

use super::Member;

runtimes! {
    async fn each_member_gets_what_is_published_after_it_has_joined(rt) {
        let hub = Hub::new();
        let (mut ann, mut ben) = (Member::new(&rt), Member::new(&rt));
        assert_eq!(hub.publish("room", "nobody is here").total(), 0);
        let _ann = hub.join("room", &ann.sender);
        assert_eq!(hub.publish("room", "1").queued, 1);
        let _ben = hub.join("room", &ben.sender);
        assert_eq!(hub.publish("room", "2").queued, 2);
        assert_eq!(hub.publish("another room", "3").total(), 0);
        assert_eq!(ann.read(2).await, ["1", "2"]);
        assert_eq!(ben.read(1).await, ["2"]);
        assert_eq!((ann.queued(), ben.queued()), (0, 0));
    }

    async fn who_says_it_does_not_get_it(rt) {
        let hub = Hub::new();
        let (ann, mut ben) = (Member::new(&rt), Member::new(&rt));
        let _memberships = [hub.join("room", &ann.sender), hub.join("room", &ben.sender)];
        let sender = ann.sender.clone();
        assert_eq!(hub.publish_from(&sender, "room", "hello").total(), 1);
        assert_eq!(ann.queued(), 0);
        assert_eq!(ben.read(1).await, ["hello"]);
    }

    async fn a_socket_that_has_joined_twice_gets_it_twice_until_one_is_dropped(rt) {
        let hub = Hub::new();
        let ann = Member::new(&rt);
        let first = hub.join("room", &ann.sender);
        let second = hub.join("room", &ann.sender);
        assert_eq!(hub.publish("room", "1").queued, 2);
        drop(first);
        assert_eq!(hub.publish("room", "2").queued, 1);
        drop(second);
        assert_eq!(hub.publish("room", "3").total(), 0);
        assert_eq!(ann.queued(), 3);
    }

    async fn counts_follow_members(rt) {
        let hub = Hub::new();
        let ann = Member::new(&rt);
        assert_eq!((hub.members("a"), hub.topics()), (0, 0));
        let a = hub.join("a", &ann.sender);
        let again = hub.join("a", &ann.sender);
        let b = hub.clone().join("b", &ann.sender);
        assert_eq!((a.topic(), b.topic()), ("a", "b"));
        assert_eq!(
            (hub.members("a"), hub.members("b"), hub.topics()),
            (2, 1, 2)
        );
        drop(a);
        assert_eq!((hub.members("a"), hub.topics()), (1, 2));
        drop(again);
        assert_eq!((hub.members("a"), hub.topics()), (0, 1));
        drop(b);
        assert_eq!(hub.topics(), 0);
    }

    async fn members_that_leave_in_any_order_take_nobody_with_them(rt) {
        let hub = Hub::new();
        let mut members: Vec<_> = (0..64)
            .map(|_| {
                let member = Member::new(&rt);
                let membership = hub.join("room", &member.sender);
                (member, membership)
            })
            .collect();
        // Every third one, again and again: from the front, the middle and the end.
        while members.len() > 1 {
            let left = members.len() / 3;
            let (member, membership) = members.remove(left);
            drop(membership);
            let delivered = hub.publish("room", "x");
            assert_eq!(
                (delivered.queued, delivered.total()),
                (members.len(), members.len())
            );
            assert_eq!(hub.members("room"), members.len());
            let before = member.queued();
            hub.publish("room", "y");
            assert_eq!(member.queued(), before);
        }
    }

    async fn a_membership_may_outlive_its_hub_and_its_socket(rt) {
        let hub = Hub::new();
        let ann = Member::new(&rt);
        let membership = hub.join("room", &ann.sender);
        drop(ann.socket);
        let delivered = hub.publish("room", "gone");
        assert_eq!((delivered.gone, delivered.total()), (1, 1));
        drop(hub);
        drop(membership);
    }

    async fn topics_are_compared_byte_by_byte(rt) {
        let hub = Hub::new();
        let ann = Member::new(&rt);
        let long = "x".repeat(1 << 20);
        let names = [
            "",
            " ",
            "room",
            "Room",
            "room\0",
            "r\u{f6}om",
            "ro\u{308}om",
            "*",
            &long,
        ];
        for name in names {
            let _membership = hub.join(name, &ann.sender);
            let counts = names.map(|other| hub.publish(other, "x").total());
            let expected = names.map(|other| usize::from(other == name));
            assert_eq!(counts, expected, "of {name:.20?}");
        }
    }

    async fn a_message_is_in_memory_once(rt) {
        let hub = Hub::new();
        let members = [(); 10].map(|()| Member::new(&rt));
        let _memberships = members
            .each_ref()
            .map(|member| hub.join("room", &member.sender));
        let message = PreparedMessage::from(vec![0; 1 << 20]);
        let cost = allocation_counter::measure(|| {
            assert_eq!(hub.publish("room", &message).queued, 10);
        });
        assert!(cost.bytes_max < 10_000, "{} bytes", cost.bytes_max);
    }
}
