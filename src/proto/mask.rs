//! Masking of payloads (RFC 6455, section 5.3).

/// A masking key: its four bytes in wire order, as one number, which is faster to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u32);

impl Key {
    /// Returns an unpredictable key, as RFC 6455, section 10.3 requires: it comes from a
    /// cryptographic generator.
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    pub(crate) fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_ne_bytes(bytes))
    }

    pub(crate) fn to_bytes(self) -> [u8; 4] {
        self.0.to_ne_bytes()
    }
}

/// A masking key and its position in a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask(Key);

impl Mask {
    pub(super) fn new(key: Key) -> Self {
        Self(key)
    }

    /// Masks, or unmasks, the next bytes of the payload.
    #[inline]
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        let twice = self.twice();
        let (words, rest) = bytes.as_chunks_mut();
        for word in words {
            *word = mask_word(*word, twice);
        }
        if !rest.is_empty() {
            let mut key = self.0.to_bytes();
            for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
                *byte ^= key;
            }
            key.rotate_left(rest.len() % 4);
            self.0 = Key::from_bytes(key);
        }
    }

    /// Copies a payload and unmasks it on the way.
    ///
    /// For small payloads, which are most, collecting words is faster than `extend`. Unmasking in
    /// place first would cost as much as the copy: the copy waits for bytes that were just written.
    // Not inlined: inlined, LLVM vectorises it to 16 or 8 bytes a step depending on the caller.
    #[inline(never)]
    pub(super) fn copy(self, bytes: &[u8]) -> Box<[u8]> {
        let twice = self.twice();
        let (words, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return self.copy_odd(bytes);
        }
        let mut copy = Vec::with_capacity(words.len());
        copy.extend(words.iter().map(move |word| mask_word(*word, twice)));
        copy.into_flattened().into()
    }

    /// Appends a copy of the next bytes of a payload, and unmasks them on the way.
    pub(super) fn extend(&mut self, to: &mut Vec<u8>, bytes: &[u8]) {
        let twice = self.twice();
        let (words, rest) = bytes.as_chunks();
        to.extend(words.iter().flat_map(move |word| mask_word(*word, twice)));
        let start = to.len();
        to.extend_from_slice(rest);
        self.apply(&mut to[start..]);
    }

    /// Copies, as `copy` does, a payload that is not a whole number of words.
    #[expect(
        clippy::slow_vector_initialization,
        reason = "memory that is zeroed comes slower from the allocator"
    )]
    #[inline(never)]
    fn copy_odd(mut self, bytes: &[u8]) -> Box<[u8]> {
        let mut copy = Vec::with_capacity(bytes.len());
        copy.resize(bytes.len(), 0);
        let twice = self.twice();
        let (words, rest) = bytes.as_chunks();
        let (to, rest_to) = copy.as_chunks_mut();
        for (word, to) in words.iter().zip(to) {
            *to = mask_word(*word, twice);
        }
        rest_to.copy_from_slice(rest);
        self.apply(rest_to);
        copy.into()
    }

    /// Returns the key twice, so that eight bytes are masked at once. The compiler turns that into
    /// as many as the processor supports.
    #[inline]
    fn twice(self) -> u64 {
        let Self(Key(key)) = self;
        u64::from(key) | u64::from(key) << 32
    }
}

#[inline]
fn mask_word(word: [u8; 8], twice: u64) -> [u8; 8] {
    (u64::from_ne_bytes(word) ^ twice).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_plain_one_whatever_the_length_the_place_and_the_cut() {
        const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let plain: Vec<u8> = (0..=255).cycle().take(320).collect();
        for start in 0..16 {
            for length in 0..=300 {
                let expected: Vec<u8> = plain[start..start + length]
                    .iter()
                    .zip(KEY.iter().cycle())
                    .map(|(byte, key)| byte ^ key)
                    .collect();
                for cut in [0, 1, length / 3, length / 2, length] {
                    let mut bytes = plain.clone();
                    let (one, other) = bytes[start..start + length].split_at_mut(cut.min(length));
                    let mut mask = Mask::new(Key::from_bytes(KEY));
                    mask.apply(one);
                    mask.apply(other);
                    assert_eq!(bytes[start..start + length], expected);

                    let (one, other) = plain[start..start + length].split_at(cut.min(length));
                    let mut mask = Mask::new(Key::from_bytes(KEY));
                    let mut copy = Vec::new();
                    mask.extend(&mut copy, one);
                    mask.extend(&mut copy, other);
                    assert_eq!(copy, expected);
                }
                let mask = Mask::new(Key::from_bytes(KEY));
                assert_eq!(mask.copy(&plain[start..start + length])[..], expected);
            }
        }
    }

    #[test]
    fn every_key_is_another_one() {
        let mut keys: Vec<_> = (0..256).map(|_| Key::random().to_bytes()).collect();
        keys.sort_unstable();
        keys.dedup();
        // Two of 256 random keys are equal once in 130,000 runs; two pairs never are.
        assert!(keys.len() >= 255, "{keys:?}");
    }
}
