//! Buffers that the connections of a thread lend each other, so that an idle one owns none.

use std::cell::RefCell;

/// Buffers that a thread keeps for the next connection that needs one: more than are used at once
/// while connections take turns.
const SPARE: usize = 8;

/// What a buffer may have grown to and still be kept.
const MAX_CAPACITY: usize = 64 * 1024;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Takes an empty buffer.
pub(crate) fn take() -> Vec<u8> {
    // While the thread ends there is no pool any more.
    let spare = POOL.try_with(|pool| pool.borrow_mut().pop());
    spare.ok().flatten().unwrap_or_default()
}

/// Gives a buffer back.
pub(crate) fn give(mut buffer: Vec<u8>) {
    if (1..=MAX_CAPACITY).contains(&buffer.capacity()) {
        buffer.clear();
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < SPARE {
                pool.push(buffer);
            }
        });
    }
}
