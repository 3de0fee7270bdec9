//! What is shared between tasks, or may be: from one place, so that loom can stand in for it and
//! try the orders in which threads may take their turns.

mod exclusive;
#[cfg(all(test, anyws_loom))]
mod model;

#[cfg(not(all(test, anyws_loom)))]
pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

#[cfg(not(all(test, anyws_loom)))]
pub(crate) use futures_util::task::AtomicWaker;

pub(crate) use self::exclusive::Exclusive;
#[cfg(all(test, anyws_loom))]
pub(crate) use self::model::{Arc, AtomicUsize, AtomicWaker, Mutex, MutexGuard, Ordering};
