//! Models that show that no wakeup of a hub's task or of its reader is lost, and no message in
//! silence. `src/socket/split/loom_tests.rs` has the command that runs them.

use std::sync::{Arc, Weak};

use loom::{future::block_on, thread};

use super::{
    event::{Event, Events},
    link::{Link, Running},
    loom_tests::{check, message, topic, works},
};

#[test]
fn the_task_wakes_for_each_message_of_two_threads() {
    check(|| {
        let link = Arc::new(Link::new());
        link.connected();
        let publishing = [(); 2].map(|()| {
            let link = Arc::clone(&link);
            thread::spawn(move || post(&link, "1"))
        });
        let mut count = 0;
        block_on(works(&link, |work| {
            count += work.batch.len();
            count == 2
        }));
        for publishing in publishing {
            publishing.join().unwrap();
        }
    });
}

#[test]
fn the_task_wakes_for_a_message_once_it_is_connected() {
    check(|| {
        let link = Arc::new(Link::new());
        let connecting = thread::spawn({
            let link = Arc::clone(&link);
            move || link.connected()
        });
        let publishing = thread::spawn({
            let link = Arc::clone(&link);
            move || post(&link, "1")
        });
        let mut is_reset = false;
        block_on(works(&link, |work| {
            is_reset |= work.is_reset;
            assert!(work.batch.is_empty() || is_reset);
            !work.batch.is_empty()
        }));
        connecting.join().unwrap();
        publishing.join().unwrap();
    });
}

#[test]
fn a_message_beside_a_lost_connection_is_published_or_lost() {
    check(|| {
        let link = Arc::new(Link::new());
        link.connected();
        let mut events = Events::new(&link.events);
        let publishing = thread::spawn({
            let link = Arc::clone(&link);
            move || post(&link, "1")
        });
        let disconnecting = thread::spawn({
            let link = Arc::clone(&link);
            move || link.disconnected("lost".into())
        });
        let mut published = 0;
        block_on(works(&link, |work| {
            published += work.batch.len();
            work.is_reset && !work.is_up
        }));
        publishing.join().unwrap();
        disconnecting.join().unwrap();
        link.events.end();
        assert_eq!(published + failures(&mut events), 1);
    });
}

#[test]
fn the_last_change_of_the_connection_is_told_last() {
    check(|| {
        let link = Arc::new(Link::new());
        let mut events = Events::new(&link.events);
        link.connected();
        block_on(works(&link, |work| work.is_reset));
        let disconnecting = thread::spawn({
            let link = Arc::clone(&link);
            move || link.disconnected("lost".into())
        });
        link.tell_up();
        disconnecting.join().unwrap();
        link.events.end();
        let mut is_down = false;
        while let Some(event) = block_on(events.next()) {
            is_down = matches!(event, Event::Down(_));
        }
        assert!(is_down);
    });
}

#[test]
fn what_waits_is_told_if_the_hub_and_its_task_end_at_once() {
    check(|| {
        let link = Arc::new(Link::new());
        let mut events = Events::new(&link.events);
        post(&link, "1");
        let running = Running::new(&link, Weak::new());
        let ending = thread::spawn(move || drop(running));
        link.end();
        ending.join().unwrap();
        assert_eq!(failures(&mut events), 1);
    });
}

#[test]
fn a_message_is_told_if_its_task_ends_while_the_backplane_connects() {
    check(|| {
        let link = Arc::new(Link::new());
        let mut events = Events::new(&link.events);
        let running = Running::new(&link, Weak::new());
        let ending = thread::spawn(move || drop(running));
        let connecting = thread::spawn({
            let link = Arc::clone(&link);
            move || link.connected()
        });
        post(&link, "1");
        ending.join().unwrap();
        connecting.join().unwrap();
        link.events.end();
        assert_eq!(failures(&mut events), 1);
    });
}

#[test]
fn the_task_wakes_for_a_topic_and_for_the_end() {
    check(|| {
        let link = Arc::new(Link::new());
        let listing = thread::spawn({
            let link = Arc::clone(&link);
            move || assert!(link.list(topic(true)).is_ok())
        });
        block_on(works(&link, |work| work.listed.len() == 1));
        listing.join().unwrap();
        let ending = thread::spawn({
            let link = Arc::clone(&link);
            move || link.end()
        });
        block_on(works(&link, |work| work.is_over));
        ending.join().unwrap();
    });
}

#[test]
fn a_reader_wakes_for_each_event_and_for_the_end() {
    check(|| {
        let link = Link::new();
        let mut events = Events::new(&link.events);
        let telling = thread::spawn(move || {
            link.events.push(Event::Up);
            link.events.push_gaps(["room".into()].into());
            link.events.end();
        });
        let mut told = Vec::new();
        while let Some(event) = block_on(events.next()) {
            told.push(matches!(event, Event::Gap { lost: None, .. }));
        }
        telling.join().unwrap();
        assert_eq!(told, [false, true]);
    });
}

/// Publishes on a topic without members.
fn post(link: &Link, text: &str) {
    drop(link.publish(&"room".into(), &[message(text)], false));
}

/// Returns how many failures are among the events, once they have ended.
fn failures(events: &mut Events) -> usize {
    let mut lost = 0;
    while let Some(event) = block_on(events.next()) {
        lost += usize::from(matches!(event, Event::PublishFailed { .. }));
    }
    lost
}
