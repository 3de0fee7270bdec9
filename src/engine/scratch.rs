//! Blocks that the connections of a thread read into, so that an idle one owns no buffer.

use std::cell::RefCell;

/// Blocks that a thread keeps: one is in use nearly always, and a few more are where connections take
/// turns before they have used up what they read.
const BLOCKS: usize = 4;

thread_local! {
    static KEPT: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Takes a block of `size` bytes at least, whatever they are: it is zeroed once, when it is made.
#[inline]
pub(super) fn take(size: usize) -> Box<[u8]> {
    // While the thread ends there is none any more.
    match KEPT.try_with(|kept| kept.borrow_mut().pop()) {
        Ok(Some(block)) if block.len() >= size => block,
        _ => vec![0; size].into(),
    }
}

/// Gives a block back.
#[inline]
pub(super) fn give(block: Box<[u8]>) {
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < BLOCKS {
            kept.push(block);
        }
    });
}
