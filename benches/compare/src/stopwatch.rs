//! The processor time of this thread.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// Adds up the processor time that this thread takes for a number of operations.
#[derive(Debug, Default)]
pub struct Stopwatch {
    operations: usize,
    taken: Duration,
}

impl Stopwatch {
    /// Measures `run`, which does so many `operations`.
    ///
    /// # Errors
    ///
    /// Those of `run`, and when the system does not tell the time.
    pub fn take(&mut self, operations: usize, run: impl FnOnce() -> Result<()>) -> Result<()> {
        let before = processor_time()?;
        run()?;
        self.taken += processor_time()?.saturating_sub(before);
        self.operations += operations;
        Ok(())
    }

    /// Microseconds for each operation so far.
    #[must_use]
    pub fn each(&self) -> f64 {
        // Exact up to 2^53.
        #[expect(clippy::cast_precision_loss)]
        let operations = self.operations as f64;
        self.taken.as_secs_f64() * 1e6 / operations
    }
}

fn processor_time() -> Result<Duration> {
    Ok(Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?)
}
