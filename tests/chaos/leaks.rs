//! What a connection must not leave behind: its descriptor, and tasks.
//!
//! Tests run beside each other in this process, so only what belongs to one connection is counted.

use std::{
    fs,
    os::fd::AsRawFd,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use anyws::{Runtime, Sleep, rt};
use futures::future::BoxFuture;

/// How long one look waits for the next.
const PAUSE: Duration = Duration::from_millis(1);

/// A runtime that counts the tasks which live on it.
#[derive(Debug)]
pub(crate) struct Counting {
    runtime: Arc<dyn Runtime>,
    tasks: Arc<AtomicUsize>,
}

impl Counting {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            tasks: Arc::default(),
        })
    }

    /// Waits until no more than `most` tasks live.
    pub(crate) async fn wait_for_tasks(&self, most: usize, within: Duration) {
        self.wait_until(within, "a task", || self.tasks.load(SeqCst) <= most)
            .await;
    }

    /// Waits until a socket's last descriptor is closed.
    pub(crate) async fn wait_for_close(&self, socket: &Descriptor, within: Duration) {
        self.wait_until(within, "a descriptor", || !socket.is_open())
            .await;
    }

    async fn wait_until(&self, within: Duration, what: &str, is_gone: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_gone() {
            assert!(
                started.elapsed() < within,
                "{what} is left after {within:?}"
            );
            rt::sleep(&self.runtime, PAUSE).await.unwrap();
        }
    }
}

impl Runtime for Counting {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let alive = Alive::new(&self.tasks);
        self.runtime.spawn(Box::pin(async move {
            task.await;
            drop(alive);
        }));
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.runtime.sleep_until(deadline)
    }

    fn now(&self) -> Instant {
        self.runtime.now()
    }

    fn has_timers(&self) -> bool {
        self.runtime.has_timers()
    }
}

/// A task that is counted as long as this lives.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(tasks: &Arc<AtomicUsize>) -> Self {
        tasks.fetch_add(1, SeqCst);
        Self(Arc::clone(tasks))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A socket, by the name that the system gives it and never to another one.
#[derive(Debug)]
pub(crate) struct Descriptor(PathBuf);

impl Descriptor {
    pub(crate) fn of(socket: &impl AsRawFd) -> Self {
        let link = format!("/proc/self/fd/{}", socket.as_raw_fd());
        Self(fs::read_link(link).unwrap())
    }

    /// Returns whether some descriptor of this process refers to the socket.
    pub(crate) fn is_open(&self) -> bool {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap();
        // One that is closed meanwhile is an error, and is not this one.
        let mut links = descriptors
            .flatten()
            .map(|entry| fs::read_link(entry.path()));
        links.any(|link| link.is_ok_and(|name| name == self.0))
    }
}
