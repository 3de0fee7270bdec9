//! What members get when they join.

use anyws::{Message, hub::Hub};
use support::runtimes;

use super::Member;

runtimes! {
    async fn who_joins_gets_the_latest_message_first(rt) {
        let hub = Hub::new();
        let (mut ann, mut ben) = (Member::new(&rt), Member::new(&rt));
        let _ann = hub.join("price", &ann.sender);
        hub.publish_latest("price", "1");
        hub.publish_latest("price", "2");
        let _ben = hub.join("price", &ben.sender);
        hub.publish("price", "3");
        assert_eq!(ann.read(3).await, ["1", "2", "3"]);
        assert_eq!(ben.read(2).await, ["2", "3"]);
    }

    async fn the_latest_message_stays_without_members_until_it_is_cleared(rt) {
        let hub = Hub::new();
        let mut ann = Member::new(&rt);
        assert_eq!(hub.publish_latest("price", "1").total(), 0);
        assert_eq!(hub.topics(), 0);
        drop(hub.join("price", &ann.sender));
        drop(hub.join("price", &ann.sender));
        assert_eq!(ann.read(2).await, ["1", "1"]);
        hub.clear_latest("price");
        let membership = hub.join("price", &ann.sender);
        assert_eq!(ann.queued(), 0);
        hub.publish_latest("price", "2");
        hub.clear_latest("price");
        assert_eq!(hub.members("price"), 1);
        drop(membership);
        hub.clear_latest("price");
        drop(hub.join("price", &ann.sender));
        assert_eq!(ann.read(1).await, ["2"]);
        assert_eq!(ann.queued(), 0);
    }

    async fn a_ping_and_a_close_are_not_kept(rt) {
        let hub = Hub::new();
        let (ann, ben) = (Member::new(&rt), Member::new(&rt));
        let _ann = hub.join("room", &ann.sender);
        assert_eq!(
            hub.publish_latest("room", Message::Ping("x".into())).queued,
            1
        );
        assert_eq!(hub.publish_latest("room", Message::Close(None)).queued, 1);
        let _ben = hub.join("room", &ben.sender);
        assert_eq!(ben.queued(), 0);
        assert!(ann.sender.is_closed() && !ben.sender.is_closed());
    }
}
