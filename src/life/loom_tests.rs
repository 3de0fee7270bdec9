//! Models that show that no wakeup and no message is lost between senders and the task of their
//! socket. loom runs them in the orders in which their threads may take turns. A task that sleeps
//! forever is a deadlock in loom, and fails the test. `src/socket/split/loom_tests.rs` has the
//! command.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::FutureExt;
use loom::{future::block_on, model::Builder, thread};

use super::{Order, Queue, TrySendError, Waiter};
use crate::{
    config::{QueueConfig, WhenFull},
    message::Message,
};

#[test]
fn the_task_of_a_socket_wakes_for_each_message() {
    check(|| {
        let queue = queue(2);
        let pushing = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                push(&queue).unwrap();
                push(&queue).unwrap();
            }
        });
        take(&queue, 2);
        pushing.join().unwrap();
    });
}

#[test]
fn the_task_of_a_socket_wakes_for_the_messages_of_two_threads() {
    check(|| {
        let queue = queue(2);
        let pushing = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || push(&queue).unwrap())
        });
        take(&queue, 2);
        for pushing in pushing {
            pushing.join().unwrap();
        }
    });
}

#[test]
fn the_task_of_a_socket_wakes_for_an_order_beside_messages() {
    check(|| {
        let queue = queue(2);
        let ordering = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let _ = push(&queue);
                queue.order(Order::Abort);
            }
        });
        block_on(poll_fn(|cx| {
            queue.register(cx.waker());
            match queue.take(1).order {
                Some(Order::Abort) => Poll::Ready(()),
                _ => Poll::Pending,
            }
        }));
        ordering.join().unwrap();
    });
}

#[test]
fn a_waiting_sender_wakes_once_there_is_space() {
    check(|| {
        let queue = queue(1);
        push(&queue).unwrap();
        let sending = thread::spawn({
            let queue = Arc::clone(&queue);
            move || block_on(send(&queue)).unwrap()
        });
        take(&queue, 2);
        sending.join().unwrap();
    });
}

#[test]
fn two_waiting_senders_wake_though_there_is_space_for_one() {
    // Once more takes minutes.
    check_preempting(2, || {
        let queue = queue(1);
        push(&queue).unwrap();
        let sending = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || block_on(send(&queue)).unwrap())
        });
        take(&queue, 3);
        for sending in sending {
            sending.join().unwrap();
        }
    });
}

#[test]
fn a_waiting_sender_wakes_though_another_one_gives_up() {
    check(|| {
        let queue = queue(1);
        push(&queue).unwrap();
        let giving_up = thread::spawn({
            let queue = Arc::clone(&queue);
            move || send(&queue).now_or_never().is_some()
        });
        let sending = thread::spawn({
            let queue = Arc::clone(&queue);
            move || block_on(send(&queue)).unwrap()
        });
        let taken = take(&queue, 2);
        let has_sent = giving_up.join().unwrap();
        sending.join().unwrap();
        let left = queue.buffered().messages;
        assert_eq!(taken + left, 2 + usize::from(has_sent));
    });
}

#[test]
fn waiting_senders_wake_at_the_end() {
    check(|| {
        let queue = queue(1);
        push(&queue).unwrap();
        let sending = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let sent = block_on(send(&queue));
                assert!(
                    matches!(sent, Ok(()) | Err(TrySendError::Closed(_))),
                    "{sent:?}"
                );
            }
        });
        let waiting = thread::spawn({
            let queue = Arc::clone(&queue);
            move || block_on(over(&queue))
        });
        queue.take(1);
        queue.wake_ready();
        queue.end();
        queue.wake_ready();
        sending.join().unwrap();
        waiting.join().unwrap();
        assert_is_over(&queue);
    });
}

#[test]
fn waiting_senders_wake_for_each_order() {
    for order in [Order::Abort, Order::GiveUp] {
        check(move || {
            let queue = queue(1);
            push(&queue).unwrap();
            let sending = thread::spawn({
                let queue = Arc::clone(&queue);
                move || {
                    let sent = block_on(send(&queue));
                    assert!(matches!(sent, Err(TrySendError::Closed(_))), "{sent:?}");
                }
            });
            queue.order(order.clone());
            sending.join().unwrap();
        });
    }
}

#[test]
fn nothing_is_queued_after_the_end() {
    check(|| {
        let queue = queue(2);
        let pushing = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let _ = push(&queue);
                let _ = push(&queue);
            }
        });
        queue.end();
        queue.wake_ready();
        pushing.join().unwrap();
        assert_is_over(&queue);
    });
}

#[test]
fn what_was_accepted_before_the_close_is_sent() {
    check(|| {
        let queue = queue(1);
        let sending = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let first = block_on(send(&queue)).is_ok();
                let second = block_on(send(&queue)).is_ok();
                usize::from(first) + usize::from(second)
            }
        });
        let mut taken = take_some(&queue);
        queue.stop();
        queue.wake_ready();
        while queue.is_pending() {
            taken += take_some(&queue);
        }
        queue.end();
        queue.wake_ready();
        assert_eq!(sending.join().unwrap(), taken);
    });
}

#[test]
fn an_abort_reaches_a_task_that_waits_to_write() {
    check(|| {
        let queue = queue(1);
        push(&queue).unwrap();
        let aborting = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.order(Order::Abort)
        });
        block_on(poll_fn(|cx| {
            queue.register(cx.waker());
            match queue.take_urgent() {
                Some(_) => Poll::Ready(()),
                None => Poll::Pending,
            }
        }));
        aborting.join().unwrap();
    });
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    // As in `src/socket/split/loom_tests.rs`.
    check_preempting(3, model);
}

/// Checks a model in which each thread is preempted so often.
fn check_preempting(times: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut loom = Builder::new();
    loom.preemption_bound.get_or_insert(times);
    loom.check(model);
}

/// A queue for `messages`, in which senders wait.
fn queue(messages: usize) -> Arc<Queue> {
    let config = QueueConfig::default().messages(messages);
    let queue = Queue::default();
    queue.set_config(config.when_full(WhenFull::Wait));
    Arc::new(queue)
}

fn push(queue: &Queue) -> Result<(), TrySendError> {
    queue.push(Message::text("x").into(), None)
}

async fn send(queue: &Queue) -> Result<(), TrySendError> {
    let mut message = Some(Message::text("x").into());
    let mut waiter = Waiter::new(queue);
    poll_fn(|cx| queue.poll_push(cx, &mut waiter, &mut message)).await
}

async fn over(queue: &Queue) {
    let mut waiter = Waiter::new(queue);
    poll_fn(|cx| queue.poll_over(cx, &mut waiter)).await;
}

/// Takes messages as the task of a socket does, until there were so many. Returns how many.
fn take(queue: &Queue, all: usize) -> usize {
    let mut taken = 0;
    block_on(poll_fn(|cx: &mut Context<'_>| {
        queue.register(cx.waker());
        while queue.is_pending() {
            taken += take_some(queue);
            queue.wake_ready();
        }
        if taken < all {
            Poll::Pending
        } else {
            Poll::Ready(taken)
        }
    }))
}

fn take_some(queue: &Queue) -> usize {
    queue.take(usize::MAX).batch.into_messages().count()
}

fn assert_is_over(queue: &Queue) {
    assert!(matches!(push(queue), Err(TrySendError::Closed(_))));
    assert!(!queue.is_pending());
    assert_eq!(queue.buffered().messages, 0);
}
