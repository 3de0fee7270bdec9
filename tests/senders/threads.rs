//! Senders on many threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
};

use anyws::{Error, Message, TrySendError, WhenFull, testing};
use futures::executor::block_on;
use support::{bounded, runtimes, sockets::patient, tasks::spawn};

use super::bounds;

const THREADS: usize = 8;
const MESSAGES: usize = 1000;

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// What thread sends which message.
fn text(thread: usize, at: usize) -> String {
    format!("{thread} {at}")
}

/// The next message of each thread.
struct Expected([usize; THREADS]);

impl Expected {
    fn take(&mut self, message: &Message) {
        let Message::Text(text) = message else {
            panic!("{message:?}");
        };
        let (thread, at) = text.split_once(' ').unwrap();
        let next = &mut self.0[thread.parse::<usize>().unwrap()];
        assert_eq!(at.parse::<usize>().unwrap(), *next, "of thread {thread}");
        *next += 1;
    }

    fn is_complete(&self) -> bool {
        self.0 == [MESSAGES; THREADS]
    }
}

runtimes! {
    async fn nothing_is_lost_of_what_many_threads_send(rt) {
        for max in [1, 2, 16, 256] {
            let (mut client, mut server) = testing::pair_with(&patient(&rt)).unwrap();
            let sender = server.sender_with(bounds(max, WhenFull::Wait));
            let threads: Vec<_> = (0..THREADS).map(|thread| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for at in 0..MESSAGES {
                        block_on(sender.send(text(thread, at))).unwrap();
                    }
                })
            }).collect();
            let serving = spawn(&rt, async move {
                let end = server.next().await;
                assert_eq!(end.unwrap().unwrap(), Message::text("end"));
                server
            });
            let mut expected = Expected([0; THREADS]);
            while !expected.is_complete() {
                expected.take(&client.next().await.unwrap().unwrap());
            }
            join(threads);
            client.send("end".into()).await.unwrap();
            let server = serving.await.unwrap();
            assert_eq!((sender.buffered().messages, sender.buffered().dropped), (0, 0));
            drop(server);
            let end = client.next().await;
            assert!(matches!(end, Some(Ok(Message::Close(_)))), "{end:?}");
        }
    }

    async fn what_is_accepted_before_the_drop_is_sent(rt) {
        for is_close in [false, true] {
            let (mut client, mut server) = testing::pair_with(&patient(&rt)).unwrap();
            let sender = server.sender();
            let accepted = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..THREADS).map(|_| {
                let (sender, accepted) = (sender.clone(), Arc::clone(&accepted));
                thread::spawn(move || loop {
                    match block_on(sender.send("x")) {
                        Ok(()) => accepted.fetch_add(1, SeqCst),
                        Err(error) => return assert!(matches!(error, Error::Closed), "{error}"),
                    };
                })
            }).collect();
            let receiving = spawn(&rt, async move {
                let mut count = 0;
                while let Some(message) = client.next().await {
                    count += usize::from(message.unwrap().is_text());
                }
                client.close(None).await.unwrap();
                count
            });
            while accepted.load(SeqCst) < 1000 {
                server.flush().await.unwrap();
            }
            // While all of them send on.
            if is_close {
                server.close(None).await.unwrap();
            }
            drop(server);
            join(threads);
            assert_eq!(receiving.await.unwrap(), accepted.load(SeqCst));
        }
    }

    async fn own_messages_come_through_though_others_send_without_end(rt) {
        let (mut client, mut server) = testing::pair_with(&patient(&rt)).unwrap();
        let sender = server.sender_with(bounds(16, WhenFull::Wait));
        let threads: Vec<_> = (0..2).map(|_| {
            let sender = sender.clone();
            thread::spawn(move || while block_on(sender.send("x")).is_ok() {})
        }).collect();
        let serving = spawn(&rt, async move {
            for _ in 0..100 {
                server.feed("own".into()).await.unwrap();
                server.send("own".into()).await.unwrap();
            }
            server
        });
        let mut own = 0;
        while own < 200 {
            let message = client.next().await.unwrap().unwrap();
            own += usize::from(message == Message::text("own"));
        }
        drop(serving.await.unwrap());
        join(threads);
    }
}

/// Threads that give up their `send` at any moment, while others wait for space.
#[test]
fn nothing_is_lost_beside_sends_that_are_dropped() {
    bounded(|| {
        let (mut client, mut server) = testing::pair();
        let sender = server.sender_with(bounds(2, WhenFull::Wait));
        let is_over = Arc::new(AtomicBool::new(false));
        let cancelled = Arc::new(AtomicUsize::new(0));
        let mut threads = Vec::new();
        for _ in 0..2 {
            let (sender, is_over) = (sender.clone(), Arc::clone(&is_over));
            let cancelled = Arc::clone(&cancelled);
            threads.push(thread::spawn(move || {
                while !is_over.load(SeqCst) {
                    let sent = futures::FutureExt::now_or_never(sender.send("cancelled"));
                    cancelled.fetch_add(usize::from(matches!(sent, Some(Ok(())))), SeqCst);
                }
            }));
        }
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let sender = sender.clone();
                thread::spawn(move || (0..250).for_each(|_| block_on(sender.send("x")).unwrap()))
            })
            .collect();
        let serving = thread::spawn(move || while let Some(Ok(_)) = block_on(server.next()) {});
        let mut counts = [0, 0];
        while counts[0] < 1000 {
            let message = block_on(client.next()).unwrap().unwrap();
            counts[usize::from(message == Message::text("cancelled"))] += 1;
        }
        join(waiting);
        is_over.store(true, SeqCst);
        join(threads);
        sender.close(None).unwrap();
        while let Some(Ok(message)) = block_on(client.next()) {
            counts[1] += usize::from(message == Message::text("cancelled"));
        }
        serving.join().unwrap();
        assert_eq!(counts[1], cancelled.load(SeqCst));
    });
}

/// A peer that does not read, and threads that try: the counts are exact.
#[test]
fn what_is_dropped_is_counted_exactly() {
    bounded(|| {
        for policy in [WhenFull::Wait, WhenFull::DropNewest, WhenFull::DropOldest] {
            let (mut client, mut server) = testing::pair();
            let sender = server.sender_with(bounds(10, policy));
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let sender = sender.clone();
                    thread::spawn(move || {
                        let sent = (0..MESSAGES).map(|at| sender.try_send(text(thread, at)));
                        sent.filter(|sent| {
                            let is_full = matches!(sent, Err(TrySendError::Full(_)));
                            assert!(is_full || sent.is_ok(), "{sent:?}");
                            is_full
                        })
                        .count()
                    })
                })
                .collect();
            let full: usize = threads.into_iter().map(|it| it.join().unwrap()).sum();
            let buffered = sender.buffered();
            assert_eq!(buffered.messages, 10);
            let lost = if policy == WhenFull::Wait {
                full as u64
            } else {
                buffered.dropped
            };
            assert_eq!(lost, (THREADS * MESSAGES - 10) as u64, "{policy:?}");
            crate::turn(&mut server);
            for _ in 0..10 {
                assert!(support::sockets::received(&mut client).is_text());
            }
            support::sockets::assert_waits(&mut client);
        }
    });
}
