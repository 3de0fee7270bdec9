//! A value that one task at a time uses.

use std::sync::{Mutex, PoisonError};

/// A value that is accessed only through exclusive references.
///
/// That makes it `Sync` even if `T` is only `Send`, so users may keep a socket in a type that has
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
