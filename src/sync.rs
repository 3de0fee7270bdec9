//! Synchronisation between tasks. All of it is imported from here, so that loom can replace it and
//! try the orders in which threads may take turns.

mod exclusive;
#[cfg(all(test, anyws_loom))]
mod model;

#[cfg(not(all(test, anyws_loom)))]
pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence},
};

#[cfg(not(all(test, anyws_loom)))]
pub(crate) use futures_util::task::AtomicWaker;

pub(crate) use self::exclusive::Exclusive;
#[cfg(all(test, anyws_loom))]
pub(crate) use self::model::{
    Arc, AtomicBool, AtomicU32, AtomicUsize, AtomicWaker, Mutex, MutexGuard, Ordering, fence,
};
