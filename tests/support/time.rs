//! A runtime whose time moves only when a test moves it.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use anyws::{Runtime, Sleep, WebSocketConfig};
use futures::{channel::oneshot::Receiver, future::BoxFuture};

use crate::{
    busy::Busy,
    tasks::{spawn, yield_to_tasks},
};

/// A task that does not answer its timer within this time has hung.
const PATIENCE: Duration = Duration::from_secs(20);

/// Spawns on another runtime, and has a time of its own.
pub struct Paused {
    inner: Arc<dyn Runtime>,
    busy: Busy,
    state: Arc<Mutex<State>>,
}

struct State {
    now: Instant,
    timers: BTreeMap<u64, Timer>,
    next: u64,
    spawned: usize,
}

struct Timer {
    deadline: Instant,
    waker: Option<Waker>,
}

impl Paused {
    pub fn new(inner: &Arc<dyn Runtime>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            busy: Busy::default(),
            state: Arc::new(Mutex::new(State {
                now: Instant::now(),
                timers: BTreeMap::new(),
                next: 0,
                spawned: 0,
            })),
        })
    }

    /// The default settings on this runtime.
    pub fn config(self: &Arc<Self>) -> WebSocketConfig {
        WebSocketConfig::new().set_runtime(self.clone())
    }

    /// Returns how many tasks were spawned.
    pub fn spawned(&self) -> usize {
        self.lock().spawned
    }

    /// Returns how many timers somebody holds.
    pub fn timers(&self) -> usize {
        self.lock().timers.len()
    }

    /// Moves the time, timer by timer: whoever waits for one runs before the next one fires.
    pub async fn advance(&self, by: Duration) {
        // A task that was just spawned has no timer yet.
        self.settle().await;
        let target = self.lock().now + by;
        while let Some((id, deadline)) = self.fire(target) {
            let started = Instant::now();
            // Its task has either moved the timer, or dropped it.
            while self.deadline(id) == Some(deadline) {
                assert!(started.elapsed() < PATIENCE, "nobody waits for a timer");
                self.settle().await;
            }
            self.settle().await;
        }
        self.lock().now = target;
    }

    /// Moves the time at once: no timer fires in between, as if the executor had stood still.
    pub fn jump(&self, by: Duration) {
        let wakers: Vec<_> = {
            let mut state = self.lock();
            state.now += by;
            let now = state.now;
            let due = state
                .timers
                .values_mut()
                .filter(|timer| timer.deadline <= now);
            due.filter_map(|timer| timer.waker.take()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Lets the tasks of this runtime run until all of them wait.
    pub async fn settle(&self) {
        let started = Instant::now();
        while self.busy.is_busy() {
            assert!(started.elapsed() < PATIENCE, "a task runs for ever");
            yield_to_tasks(&self.inner).await;
        }
    }

    /// Spawns a task as [`tasks::spawn`](crate::tasks::spawn) does.
    pub fn run<T: Send + 'static>(
        self: &Arc<Self>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Receiver<T> {
        let runtime: Arc<dyn Runtime> = self.clone();
        spawn(&runtime, future)
    }

    /// Fires the first timer that is due at `target`, and moves the time there.
    fn fire(&self, target: Instant) -> Option<(u64, Instant)> {
        let (id, deadline, waker) = {
            let mut state = self.lock();
            let armed = state
                .timers
                .iter_mut()
                .filter(|(_, timer)| timer.deadline <= target);
            let (id, timer) = armed.min_by_key(|(_, timer)| timer.deadline)?;
            let fired = (*id, timer.deadline, timer.waker.take());
            state.now = state.now.max(fired.1);
            fired
        };
        waker.into_iter().for_each(Waker::wake);
        Some((id, deadline))
    }

    fn deadline(&self, id: u64) -> Option<Instant> {
        self.lock().timers.get(&id).map(|timer| timer.deadline)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Runtime for Paused {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.lock().spawned += 1;
        self.inner.spawn(self.busy.track(task));
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let mut state = self.lock();
        state.next += 1;
        let id = state.next;
        let waker = None;
        state.timers.insert(id, Timer { deadline, waker });
        let state = Arc::clone(&self.state);
        Box::pin(PausedSleep { id, state })
    }

    fn now(&self) -> Instant {
        self.lock().now
    }
}

struct PausedSleep {
    id: u64,
    state: Arc<Mutex<State>>,
}

impl Future for PausedSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock().unwrap();
        let now = state.now;
        let timer = state.timers.get_mut(&self.id).unwrap();
        if timer.deadline <= now {
            return Poll::Ready(());
        }
        timer.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Sleep for PausedSleep {
    fn reset(self: Pin<&mut Self>, deadline: Instant) {
        let mut state = self.state.lock().unwrap();
        state.timers.get_mut(&self.id).unwrap().deadline = deadline;
    }
}

impl Drop for PausedSleep {
    fn drop(&mut self) {
        // A test that has failed may have poisoned it.
        if let Ok(mut state) = self.state.lock() {
            state.timers.remove(&self.id);
        } else {
            assert!(thread::panicking());
        }
    }
}

impl fmt::Debug for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paused").finish_non_exhaustive()
    }
}
