//! The clock of a runtime: one task that counts coarse ticks and wakes the sockets whose alarms are
//! due.
//!
//! A timer for each socket would cost each of them memory, and each message the work of moving it.
//! A clock costs a look at each alarm in a tick.

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    future::poll_fn,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    alarm::{Alarm, Tick},
    moment::{Moment, Span},
};
use crate::{
    rt::{Runtime, Sleep},
    sync::{AtomicU32, AtomicWaker, Ordering, fence},
};

/// A runtime: its type, and its identity among the runtimes of that type.
type Key = (TypeId, u64);

/// The running clocks. Nothing of a user runs while it is locked.
static CLOCKS: Mutex<BTreeMap<Key, Arc<Clock>>> = Mutex::new(BTreeMap::new());

pub(crate) struct Clock {
    runtime: Arc<dyn Runtime>,
    /// When the clock was started, by the runtime.
    start: Instant,
    now: AtomicU32,
    alarms: Mutex<Alarms>,
    /// The clock's task: it sleeps less long once an alarm with a shorter tick has joined.
    task: AtomicWaker,
}

struct Alarms {
    /// `None` once the clock has ended.
    all: Option<Vec<Arc<Alarm>>>,
    /// The shortest tick among them.
    tick: Tick,
    /// When the clock has ticked last, by the runtime.
    last: Instant,
}

impl Clock {
    /// Returns a new alarm on the clock of `runtime`, and starts that clock if it does not run.
    /// `shortest` is the shortest timeout that the alarm is for. Also returns the present moment:
    /// the clock may be behind by a tick that is longer than the alarm's own.
    pub(super) fn alarm(runtime: &Arc<dyn Runtime>, shortest: Duration) -> (Arc<Alarm>, Moment) {
        let any: &dyn Any = &**runtime;
        let key = (any.type_id(), runtime.identity());
        let now = runtime.now();
        let mut clocks = lock(&CLOCKS);
        let mut is_new = false;
        let clock = clocks.entry(key).or_insert_with(|| {
            is_new = true;
            Arc::new(Self::new(runtime, now))
        });
        let clock = Arc::clone(clock);
        let moment = clock.moment(now);
        let (alarm, is_shorter) = clock.add(Tick::of(shortest));
        drop(clocks);
        if is_new {
            // Even if the runtime drops the task at once, that ends the clock.
            let running = Running { clock, key };
            runtime.spawn(Box::pin(run(running)));
        } else if is_shorter {
            clock.task.wake();
        }
        (alarm, moment)
    }

    pub(super) fn new(runtime: &Arc<dyn Runtime>, start: Instant) -> Self {
        Self {
            runtime: Arc::clone(runtime),
            start,
            now: AtomicU32::new(0),
            alarms: Mutex::new(Alarms {
                all: Some(Vec::new()),
                tick: Tick::MAX,
                last: start,
            }),
            task: AtomicWaker::default(),
        }
    }

    /// Returns a new alarm, and whether its tick is shorter than those of the others. A clock that
    /// has ended has stopped the alarm.
    pub(super) fn add(self: &Arc<Self>, tick: Tick) -> (Arc<Alarm>, bool) {
        let alarm = Arc::new(Alarm::new(self, tick));
        let mut alarms = lock(&self.alarms);
        let is_shorter = tick < alarms.tick;
        alarms.tick = alarms.tick.min(tick);
        match &mut alarms.all {
            Some(all) => all.push(Arc::clone(&alarm)),
            None => alarm.stop(),
        }
        (alarm, is_shorter)
    }

    pub(super) fn now(&self) -> Moment {
        Moment(self.now.load(Ordering::Relaxed))
    }

    /// Returns the time since the clock was started in microseconds, from the runtime. It wraps
    /// after 71 minutes.
    pub(super) fn micros(&self) -> u32 {
        let elapsed = self.runtime.now().saturating_duration_since(self.start);
        let [a, b, c, d, ..] = elapsed.as_micros().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// Returns the moment of `now`: what the clock will say once it has ticked.
    fn moment(&self, now: Instant) -> Moment {
        let alarms = lock(&self.alarms);
        let elapsed = now.saturating_duration_since(alarms.last);
        let lag = Span::of(elapsed.min(2 * alarms.tick.span().duration()));
        let now = self.now();
        lag.map_or(now, |lag| now.after(lag))
    }

    /// Returns when the next tick is due, and the length of that tick.
    fn next_tick(&self) -> (Instant, Duration) {
        let alarms = lock(&self.alarms);
        let tick = alarms.tick.span().duration();
        (alarms.last + tick, tick)
    }

    /// Ticks: lets time pass, up to two ticks of the given length, and rings the alarms that are
    /// due.
    pub(super) fn tick(&self, tick: Duration) {
        let now = self.runtime.now();
        let mut alarms = lock(&self.alarms);
        let elapsed = now.saturating_duration_since(alarms.last);
        let span = Span::whole(elapsed.min(2 * tick));
        alarms.last = if elapsed > 2 * tick {
            now
        } else {
            // The rest counts in the next tick.
            alarms.last + span.duration()
        };
        let moment = self.now().after(span);
        // Under the lock, so that `moment` sees both or neither.
        self.now.store(moment.0, Ordering::Relaxed);
        drop(alarms);
        self.ring(moment);
    }

    /// Rings the alarms that are due.
    fn ring(&self, now: Moment) {
        // See `Alarm::set`.
        fence(Ordering::SeqCst);
        // Wakers run without the lock: they may drop sockets, or open new ones.
        let mut all = match &mut *lock(&self.alarms) {
            Alarms {
                all: Some(all),
                tick,
                ..
            } => {
                *tick = Tick::MAX;
                mem::take(all)
            }
            Alarms { all: None, .. } => return,
        };
        all.retain(|alarm| !alarm.has_left());
        let shortest = all.iter().map(|alarm| alarm.tick()).min();
        for alarm in &all {
            // A waker that panics must not take the other sockets' clock with it.
            let _ = catch_unwind(AssertUnwindSafe(|| alarm.ring(now)));
        }
        self.put_back(all, shortest.unwrap_or(Tick::MAX));
    }

    /// Returns the alarms after a tick; others may have joined meanwhile.
    fn put_back(&self, mut all: Vec<Arc<Alarm>>, shortest: Tick) {
        if all.len() < all.capacity() / 4 {
            all.shrink_to(all.len() * 2);
        }
        let mut alarms = lock(&self.alarms);
        alarms.tick = alarms.tick.min(shortest);
        if let Some(joined) = &mut alarms.all {
            all.append(joined);
            *joined = all;
        }
    }
}

/// Ends the clock when its task ends, or is dropped because its runtime is shut down.
struct Running {
    clock: Arc<Clock>,
    key: Key,
}

impl Running {
    /// Ends the clock if it has no alarm.
    fn ends_unused(&self) -> bool {
        let mut clocks = lock(&CLOCKS);
        let is_unused = lock(&self.clock.alarms)
            .all
            .as_ref()
            .is_none_or(Vec::is_empty);
        if is_unused {
            self.remove(&mut clocks);
        }
        is_unused
    }

    /// Removes the clock from the running ones. Another one may have its place.
    fn remove(&self, clocks: &mut BTreeMap<Key, Arc<Clock>>) {
        let own = clocks.get(&self.key);
        if own.is_some_and(|own| Arc::ptr_eq(own, &self.clock)) {
            clocks.remove(&self.key);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.remove(&mut lock(&CLOCKS));
        let all = lock(&self.clock.alarms).all.take();
        all.iter().flatten().for_each(|alarm| alarm.stop());
    }
}

/// Counts ticks, until no alarm is left.
///
/// It counts the ticks that it sees, not the time that has passed: an executor that stood still for
/// a minute has aged its sockets by two ticks, and does not disconnect all of them.
async fn run(running: Running) {
    let clock = &*running.clock;
    let mut sleep = clock.runtime.sleep_until(clock.next_tick().0);
    while !running.ends_unused() {
        let tick = wait(clock, &mut sleep).await;
        clock.tick(tick);
    }
}

/// Waits for the next tick. Returns its length; a shorter one that has joined meanwhile only makes
/// it end sooner.
async fn wait(clock: &Clock, sleep: &mut Pin<Box<dyn Sleep>>) -> Duration {
    let (mut armed, length) = clock.next_tick();
    sleep.as_mut().reset(armed);
    poll_fn(|cx| {
        clock.task.register(cx.waker());
        let (next, _) = clock.next_tick();
        if next != armed {
            armed = next;
            sleep.as_mut().reset(armed);
        }
        sleep.as_mut().poll(cx)
    })
    .await;
    length
}

/// Nothing that runs under these locks panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
