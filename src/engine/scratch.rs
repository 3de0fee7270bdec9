//! The block that all connections of a thread read into, so that an idle one owns no buffer.

use std::cell::Cell;

thread_local! {
    /// Empty while a read uses the block.
    static BLOCK: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's block, of `size` bytes at least, cut to them.
///
/// It is zeroed once, when it is made or grows. A stream that itself polls another WebSocket while it
/// is read finds the block taken: then that one gets another, and one of the two is kept.
pub(super) fn with<R>(size: usize, read: impl FnOnce(&mut [u8]) -> R) -> R {
    // While the thread ends there is no block any more.
    let mut block = BLOCK.try_with(Cell::take).unwrap_or_default();
    if block.len() < size {
        block.resize(size, 0);
    }
    let result = read(&mut block[..size]);
    let _ = BLOCK.try_with(|kept| kept.set(block));
    result
}
