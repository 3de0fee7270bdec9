//! The reference for compressed messages: a plain decompressor, and nothing of the crate.

use flate2::{Decompress, FlushDecompress, Status};

/// What a message leaves out at its end (RFC 7692, section 7.2.2).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A last block without data: at the border of a block, it ends the stream.
const LAST: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// The largest window, and the largest distance of a reference.
const MAX_WINDOW: u8 = 15;

/// How far a reference behind the window may go unseen: those into the same call are not checked.
const STEP: usize = 16;

/// A peer with exactly the window that was agreed, which decompresses all messages with one
/// decompressor, or each with its own.
#[derive(Debug)]
pub struct Peer {
    codec: Decompress,
    window: u8,
    takes_over: bool,
}

impl Peer {
    /// Creates the peer of an end that sends with this window.
    #[must_use]
    pub fn new(window: u8, takes_over: bool) -> Self {
        Self {
            codec: Decompress::new_with_window_bits(false, window),
            window,
            takes_over,
        }
    }

    /// Inflates a message.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn inflate(&mut self, payload: &[u8]) -> Result<Vec<u8>, &'static str> {
        if !self.takes_over {
            self.codec = Decompress::new_with_window_bits(false, self.window);
        }
        let input = [payload, &TAIL].concat();
        let (start, mut plaintext) = (self.codec.total_in(), Vec::new());
        loop {
            let taken = usize::try_from(self.codec.total_in() - start).expect("it fits");
            let before = self.codec.total_out();
            let mut block = [0; STEP];
            let status = self
                .codec
                .decompress(&input[taken..], &mut block, FlushDecompress::Sync)
                .map_err(|_| "the data is malformed, or refers to what is not in the window")?;
            let written = usize::try_from(self.codec.total_out() - before).expect("it fits");
            plaintext.extend(&block[..written]);
            if status == Status::StreamEnd {
                return Err("the stream has ended");
            }
            if written < block.len() {
                let taken = usize::try_from(self.codec.total_in() - start).expect("it fits");
                return if taken == input.len() {
                    Ok(plaintext)
                } else {
                    Err("not all was taken")
                };
            }
        }
    }
}

/// What of a direction a receiver has to know to inflate the next message.
#[derive(Debug, Default)]
pub struct Received {
    /// The plaintext of all messages.
    before: Vec<u8>,
}

impl Received {
    /// Inflates any bytes as a message, with several streams if one of them ends. `window` is that
    /// of a peer that takes over. Returns `None` if the message is malformed or cut, or longer than
    /// `limit`.
    pub fn inflate(&mut self, payload: &[u8], window: Option<u8>, limit: usize) -> Option<Vec<u8>> {
        if payload.is_empty() {
            return Some(Vec::new());
        }
        let known = self.before.len();
        let mut taken = 0;
        // The end of the flush, then the last block; a stream that ends before is followed by both,
        // or by nothing.
        let input = [payload, &TAIL, &LAST].concat();
        let ends = [payload.len(), payload.len() + TAIL.len(), input.len()];
        loop {
            let mut codec = Decompress::new_with_window_bits(false, MAX_WINDOW);
            if let Some(window) = window {
                let from = self.before.len().saturating_sub(1 << window);
                // Several calls would be one more way to be wrong.
                codec
                    .set_dictionary(&self.before[from..])
                    .expect("it is raw");
            }
            let status = self.stream(&mut codec, &input[taken..], known + limit)?;
            taken += usize::try_from(codec.total_in()).expect("it fits");
            if status != Status::StreamEnd {
                return None;
            }
            if ends.contains(&taken) {
                let plaintext = self.before[known..].to_vec();
                return (plaintext.len() <= limit).then_some(plaintext);
            }
            if taken > payload.len() {
                return None;
            }
        }
    }

    fn stream(&mut self, codec: &mut Decompress, input: &[u8], most: usize) -> Option<Status> {
        let mut block = vec![0; 64 * 1024];
        loop {
            let (read, written) = (codec.total_in(), codec.total_out());
            let from = usize::try_from(read).expect("it fits");
            let status = codec
                .decompress(&input[from..], &mut block, FlushDecompress::None)
                .ok()?;
            let new = usize::try_from(codec.total_out() - written).expect("it fits");
            self.before.extend(&block[..new]);
            if self.before.len() > most {
                return None;
            }
            if status == Status::StreamEnd || (codec.total_in(), new) == (read, 0) {
                return Some(status);
            }
        }
    }
}
