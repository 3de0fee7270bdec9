//! The window: the last bytes of plaintext, which later messages may refer to.

/// The first allocation. Most histories of short messages stay small for a while.
const MIN_CAPACITY: usize = 256;

/// The last bytes of plaintext that went compressed through one direction of a connection.
#[derive(Debug)]
pub(super) struct History {
    /// A ring once it is full; it grows up to the window.
    bytes: Vec<u8>,
    /// Where the oldest byte is.
    start: usize,
    window: usize,
}

impl History {
    /// Creates the history of a window of `bits`, which has no memory before the first message.
    pub(super) fn new(bits: u8) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            window: 1 << bits,
        }
    }

    /// Returns the bytes in order, in two parts.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        let (newer, older) = self.bytes.split_at(self.start);
        [older, newer]
    }

    /// Adds plaintext, and forgets what falls out of the window.
    pub(super) fn push(&mut self, plaintext: &[u8]) {
        let kept = plaintext.len().saturating_sub(self.window);
        let (grown, over) = self.grow(&plaintext[kept..]);
        self.bytes.extend_from_slice(grown);
        let end = self.window - self.start;
        let (to_end, from_front) = over.split_at(over.len().min(end));
        self.bytes[self.start..self.start + to_end.len()].copy_from_slice(to_end);
        self.bytes[..from_front.len()].copy_from_slice(from_front);
        self.start = (self.start + over.len()) % self.window;
    }

    /// Makes room for the bytes that still fit. Returns these, and those that overwrite others.
    fn grow<'a>(&mut self, plaintext: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let free = self.window - self.bytes.len();
        let (grown, over) = plaintext.split_at(plaintext.len().min(free));
        let needed = self.bytes.len() + grown.len();
        if needed > self.bytes.capacity() {
            let capacity = (2 * needed).clamp(MIN_CAPACITY.min(self.window), self.window);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        (grown, over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_the_last_bytes_of_the_window_and_no_more_memory() {
        let plain: Vec<u8> = (0..=250).cycle().take(20_000).collect();
        for bits in [8, 9, 12] {
            for step in [1, 7, 255, 256, 511, 512, 513, 4096, 5000] {
                let mut history = History::new(bits);
                for (pushed, piece) in plain.chunks(step).enumerate() {
                    history.push(piece);
                    let end = pushed * step + piece.len();
                    let start = end.saturating_sub(1 << bits);
                    assert_eq!(history.parts().concat(), plain[start..end]);
                    assert!(history.bytes.capacity() <= 1 << bits);
                }
            }
        }
    }
}
