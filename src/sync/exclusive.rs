//! A value that is used by one task at a time.

use std::sync::{Mutex, PoisonError};

/// A value that is reached by exclusive references alone.
///
/// That makes it `Sync` though `T` is only `Send`: users may then keep a socket in a type that has
/// to be `Sync`. The mutex is never locked, so it costs no waiting.
#[derive(Default)]
pub(crate) struct Exclusive<T>(Mutex<T>);

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
