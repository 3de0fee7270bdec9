//! The compressed forms of a message that is sent to many.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    Deflated, Job,
    pool::{Compressor, Settings},
};
use crate::message::Bytes;

/// The compressed forms of a prepared message: one for each set of parameters, at most 63.
///
/// They refer to nothing before the message, so they fit every connection with these parameters,
/// also one with takeover.
#[derive(Debug, Default)]
pub(in crate::proto) struct Variants(Mutex<Vec<Variant>>);

#[derive(Debug)]
struct Variant {
    settings: Settings,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Each socket that needs the message compresses a further step of it.
    Working(Box<Job>),
    /// `None`: the message would not become smaller.
    Done(Option<Bytes>),
}

impl Variants {
    /// Returns whether nobody has compressed the message.
    pub(in crate::proto) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Compresses the next part, unless that was done before.
    pub(super) fn step(&self, settings: Settings, payload: &[u8]) -> Deflated {
        let mut variants = self.lock();
        let at = variants.iter().position(|it| it.settings == settings);
        let at = at.unwrap_or_else(|| {
            variants.push(Variant {
                settings,
                state: State::Working(Box::new(job(settings))),
            });
            variants.len() - 1
        });
        let state = &mut variants[at].state;
        if let State::Working(job) = state {
            *state = match job.step(None, payload) {
                Deflated::Paused => return Deflated::Paused,
                Deflated::Smaller(compressed) => State::Done(Some(compressed)),
                Deflated::Plain => State::Done(None),
            };
        }
        match state {
            State::Done(Some(compressed)) => Deflated::Smaller(compressed.clone()),
            _ => Deflated::Plain,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Variant>> {
        // A panic inside a step leaves a job that fails, or goes on.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn job(settings: Settings) -> Job {
    Job::new(Some(Compressor::take(settings, None).0))
}
