//! Which processor cores processes run on.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// What is measured has one for itself, and so has the load.
const MEASURED: usize = 0;
const LOAD: usize = 1;

/// The cores of a process that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// The one that is for that alone.
    One,
    /// All but the load's. If that leaves one, the load's as well.
    Several,
    /// All: there is no load that would need one.
    All,
}

impl Cores {
    /// Runs `start`, and what that starts runs on these cores. The calling thread is on the load's
    /// core afterwards.
    ///
    /// # Errors
    ///
    /// When one of the cores may not be used.
    pub fn start<T>(self, start: impl FnOnce() -> T) -> Result<T> {
        // A child runs where the thread that makes it runs.
        match self {
            Self::One => pin(MEASURED)?,
            Self::Several => {
                allow(|core| core != LOAD)?;
                if sched_getaffinity(None)?.count() < 2 {
                    allow(|core| core == MEASURED || core == LOAD)?;
                }
            }
            Self::All => allow(|_| true)?,
        }
        let started = start();
        pin_to_load_core()?;
        Ok(started)
    }
}

/// Binds the calling thread to the core of the load.
///
/// # Errors
///
/// When the process may not use that core.
pub fn pin_to_load_core() -> Result<()> {
    pin(LOAD)
}

fn pin(core: usize) -> Result<()> {
    allow(|other| other == core)
        .map_err(|error| format!("core {core} is needed and cannot be used: {error}").into())
}

/// Binds the calling thread to those of the machine's cores for which `is_allowed` holds.
fn allow(is_allowed: impl Fn(usize) -> bool) -> Result<()> {
    let mut cores = CpuSet::new();
    for core in (0..CpuSet::MAX_CPU).filter(|&core| is_allowed(core)) {
        cores.set(core);
    }
    Ok(sched_setaffinity(None, &cores)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_gets_its_cores_and_the_load_keeps_one() {
        let cores = |cores: Cores| cores.start(|| sched_getaffinity(None).unwrap()).unwrap();
        let one = cores(Cores::One);
        assert!(one.is_set(MEASURED) && one.count() == 1);
        let all = cores(Cores::All);
        let several = cores(Cores::Several);
        assert_eq!(several.count(), (all.count() - 1).max(2));
        assert_eq!(several.is_set(LOAD), all.count() == 2);
        let load = sched_getaffinity(None).unwrap();
        assert!(load.is_set(LOAD) && load.count() == 1);
    }
}
