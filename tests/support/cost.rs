//! What a computation costs, whatever else the machine does meanwhile.

use std::{fs, thread, time::Duration};

/// Runs `work` and returns how long this thread has computed for it.
///
/// The time that passes tells little on a busy machine: what is short fits into one slice of the
/// scheduler's, and what is long does not.
pub fn cost<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let before = computed();
    let result = work();
    (computed().saturating_sub(before), result)
}

/// Returns how long this thread has computed, as Linux tells.
fn computed() -> Duration {
    // The kernel brings the number up to date when it looks for another thread to run.
    thread::yield_now();
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos = stat.split(' ').next().unwrap();
    Duration::from_nanos(nanos.parse().unwrap())
}
