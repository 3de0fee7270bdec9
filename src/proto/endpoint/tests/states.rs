//! The states that can exist.

use std::collections::BTreeSet;

use super::{CLOSE, Endpoint, FIN, PING, TEXT, closing, frame, outgoing, receive, server};
use crate::{message::Message, proto::endpoint::State};

/// The events of an endpoint, as its driver causes them.
const EVENTS: [fn(&mut Endpoint); 9] = [
    |it| drop(receive(it, &frame(FIN | TEXT, "a"))),
    |it| drop(receive(it, &frame(FIN | PING, "a"))),
    |it| drop(receive(it, &frame(FIN | CLOSE, ""))),
    |it| drop(receive(it, &frame(FIN | 3, ""))),
    |it| drop(it.close(None)),
    |it| {
        if it.can_send() {
            it.send(&mut outgoing(Message::Close(None)));
        }
    },
    |it| it.give_up(closing()),
    Endpoint::stop_receiving,
    Endpoint::stop_sending,
];

#[test]
fn the_table_of_states_in_architecture_md_is_complete_and_no_pair_of_it_is_impossible() {
    // Two events change each direction at most once; two more may come in between.
    const DEPTH: u32 = 4;
    let mut reached = BTreeSet::new();
    for path in 0..EVENTS.len().pow(DEPTH) {
        let mut endpoint = server();
        let mut rest = path;
        reached.insert(endpoint.state());
        for _ in 0..DEPTH {
            EVENTS[rest % EVENTS.len()](&mut endpoint);
            rest /= EVENTS.len();
            reached.insert(endpoint.state());
        }
    }
    let name = |State { recv, send }: &State| format!("| `{recv:?}` | `{send:?}` |");
    let reached: BTreeSet<_> = reached.iter().map(name).collect();
    let document = include_str!("../../../../ARCHITECTURE.md");
    let (_, table) = document
        .split_once("\n| From the peer | To the peer |")
        .unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let pair = |line: &str| line.splitn(4, '|').take(3).collect::<Vec<_>>().join("|") + "|";
    let documented: BTreeSet<_> = rows.map(pair).collect();
    assert_eq!(documented, reached);
}
