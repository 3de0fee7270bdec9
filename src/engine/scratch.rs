//! Blocks that the connections of a thread read into, so that an idle one owns no buffer.

use std::cell::RefCell;

/// Blocks that a thread makes to have one to read into while others are kept by connections that
/// have not used up what they read. Few do at a time, unless their handlers wait for something else;
/// those that find no block to spare copy.
const BLOCKS: usize = 4;

thread_local! {
    static BLOCKS_HERE: RefCell<Blocks> = const { RefCell::new(Blocks { made: 0, idle: Vec::new() }) };
}

struct Blocks {
    /// How many were made so that there is one to spare.
    made: usize,
    idle: Vec<Box<[u8]>>,
}

/// Takes a block of `size` bytes at least, whatever they are: it is zeroed once, when it is made.
#[inline]
pub(super) fn take(size: usize) -> Box<[u8]> {
    // While the thread ends there is none any more.
    match BLOCKS_HERE.try_with(|blocks| blocks.borrow_mut().idle.pop()) {
        Ok(Some(block)) if block.len() >= size => block,
        _ => make(size),
    }
}

/// Gives a block back.
#[inline]
pub(super) fn give(block: Box<[u8]>) {
    let _ = BLOCKS_HERE.try_with(|blocks| {
        let mut blocks = blocks.borrow_mut();
        if blocks.idle.len() < BLOCKS {
            blocks.idle.push(block);
        }
    });
}

/// Tells whether a connection may keep its block: whether others find one to read into.
///
/// None would be made for each read, and zeroed, which takes longer than to copy what is kept.
#[inline]
pub(super) fn can_spare(size: usize) -> bool {
    let can_spare = BLOCKS_HERE.try_with(|blocks| {
        let mut blocks = blocks.borrow_mut();
        if blocks.idle.is_empty() && blocks.made < BLOCKS {
            blocks.made += 1;
            blocks.idle.push(make(size));
        }
        !blocks.idle.is_empty()
    });
    can_spare.unwrap_or(false)
}

#[cold]
fn make(size: usize) -> Box<[u8]> {
    vec![0; size].into()
}
