//! Any sequence of calls against a model, and any bytes of a stranger.

use std::{collections::BTreeMap, sync::Arc};

use anyws::{
    Runtime,
    hub::{Event, Hub, Subscription},
};
use futures::executor::block_on;
use proptest::{collection::vec, prelude::*, test_runner::Config};
use support::{broker::Broker, threads::ThreadRuntime};

use super::Member;

const TOPICS: usize = 3;
const MEMBERS: usize = 4;

#[derive(Clone, Debug)]
enum Call {
    Join(usize, usize),
    /// Leaves by the place among all memberships.
    Leave(usize),
    Publish(usize),
    PublishFrom(usize, usize),
    PublishLatest(usize),
    ClearLatest(usize),
}

fn call() -> impl Strategy<Value = Call> {
    let (topic, member) = (0..TOPICS, 0..MEMBERS);
    prop_oneof![
        3 => (topic.clone(), member.clone()).prop_map(|(topic, member)| Call::Join(topic, member)),
        2 => any::<usize>().prop_map(Call::Leave),
        2 => topic.clone().prop_map(Call::Publish),
        1 => (topic.clone(), member).prop_map(|(topic, member)| Call::PublishFrom(topic, member)),
        1 => topic.clone().prop_map(Call::PublishLatest),
        1 => topic.prop_map(Call::ClearLatest),
    ]
}

/// What the hub should have done.
#[derive(Default)]
struct Model {
    /// The topic and the member of each membership.
    memberships: Vec<(usize, usize)>,
    latest: BTreeMap<usize, String>,
    received: [Vec<String>; MEMBERS],
}

impl Model {
    /// Returns how many get it.
    fn publish(&mut self, topic: usize, text: &str, except: Option<usize>) -> usize {
        let to = |&&(joined, member): &&(usize, usize)| joined == topic && Some(member) != except;
        let members: Vec<_> = self.memberships.iter().filter(to).map(|it| it.1).collect();
        for &member in &members {
            self.received[member].push(text.to_owned());
        }
        members.len()
    }
}

/// Makes the calls on a hub and on the model.
fn run(calls: &[Call], hub: &Hub, members: &[Member]) -> Model {
    let mut model = Model::default();
    let mut memberships: Vec<Subscription> = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let text = at.to_string();
        match *call {
            Call::Join(topic, member) => {
                memberships.push(hub.join(&topic.to_string(), &members[member].sender));
                model.memberships.push((topic, member));
                model.received[member].extend(model.latest.get(&topic).cloned());
            }
            Call::Leave(at) if !memberships.is_empty() => {
                let at = at % memberships.len();
                drop(memberships.remove(at));
                model.memberships.remove(at);
            }
            Call::Leave(_) => {}
            Call::Publish(topic) => {
                let delivered = hub.publish(&topic.to_string(), text.as_str());
                assert_eq!(delivered.queued, model.publish(topic, &text, None));
            }
            Call::PublishFrom(topic, member) => {
                let sender = &members[member].sender;
                let delivered = hub.publish_from(sender, &topic.to_string(), text.as_str());
                assert_eq!(delivered.queued, model.publish(topic, &text, Some(member)));
            }
            Call::PublishLatest(topic) => {
                let delivered = hub.publish_latest(&topic.to_string(), text.as_str());
                assert_eq!(delivered.queued, model.publish(topic, &text, None));
                model.latest.insert(topic, text);
            }
            Call::ClearLatest(topic) => {
                hub.clear_latest(&topic.to_string());
                model.latest.remove(&topic);
            }
        }
        for topic in 0..TOPICS {
            let count = model.memberships.iter().filter(|it| it.0 == topic).count();
            assert_eq!(hub.members(&topic.to_string()), count);
        }
        let topics = (0..TOPICS).filter(|topic| model.memberships.iter().any(|it| it.0 == *topic));
        assert_eq!(hub.topics(), topics.count());
    }
    model
}

/// An envelope of version 1 of the hub 1, changed somewhere.
fn changed_envelope() -> impl Strategy<Value = Vec<u8>> {
    let change = proptest::option::of((0..40_usize, any::<u8>()));
    (vec(any::<u8>(), 0..8), any::<u64>(), change, 0..48_usize).prop_map(
        |(payload, number, change, length)| {
            let mut bytes = b"anyw\x01\x02\0\0".to_vec();
            bytes.extend([1, 2, number].map(u64::to_be_bytes).concat());
            bytes.extend(payload);
            if let Some((at, byte)) = change
                && let Some(changed) = bytes.get_mut(at)
            {
                *changed = byte;
            }
            bytes.truncate(length);
            bytes
        },
    )
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(200) })]

    #[test]
    fn a_hub_does_what_a_model_does(calls in vec(call(), 0..60)) {
        let runtime: Arc<dyn Runtime> = Arc::new(ThreadRuntime);
        let hub = Hub::new();
        let mut members: Vec<_> = (0..MEMBERS).map(|_| Member::new(&runtime)).collect();
        let model = run(&calls, &hub, &members);
        for (member, expected) in members.iter_mut().zip(model.received) {
            assert_eq!(member.queued(), expected.len());
            assert_eq!(block_on(member.read(expected.len())), expected);
        }
    }

    #[test]
    fn each_message_of_a_stranger_is_ignored_or_delivered(
        envelopes in vec(changed_envelope(), 0..30),
    ) {
        let runtime: Arc<dyn Runtime> = Arc::new(ThreadRuntime);
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::clone(&runtime));
        prop_assert!(matches!(block_on(events.next()), Some(Event::Up)));
        let ann = Member::new(&runtime);
        let _membership = hub.join("room", &ann.sender);
        let count = envelopes.len();
        for bytes in envelopes {
            plane.inject("room", bytes);
        }
        prop_assert_eq!(hub.ignored() + ann.queued(), count);
    }
}
