//! Copies that take the same time for every alignment.

/// How many bytes are copied at once. From 2,112 bytes on, glibc copies with `rep movsb` if the
/// processor reports that as fast. AMD's Zen 3 and 4 do, but are 20 times slower at it if a byte
/// moves 1 to 15 bytes further in its page, as it often does after a frame's header.
pub(super) const STEP: usize = 2048;

/// Copies bytes to new memory.
#[inline]
pub(super) fn to_vec(bytes: &[u8]) -> Vec<u8> {
    let mut copy = Vec::with_capacity(bytes.len());
    extend(&mut copy, bytes);
    copy
}

/// Appends a copy of `bytes`.
#[inline]
pub(super) fn extend(to: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() <= STEP {
        to.extend_from_slice(bytes);
    } else {
        extend_in_steps(to, bytes);
    }
}

#[inline(never)]
fn extend_in_steps(to: &mut Vec<u8>, bytes: &[u8]) {
    to.reserve(bytes.len());
    for step in bytes.chunks(STEP) {
        to.extend_from_slice(step);
    }
}

/// Overwrites `to` with `bytes`, which has the same length.
pub(super) fn overwrite(to: &mut [u8], bytes: &[u8]) {
    for (to, step) in to.chunks_mut(STEP).zip(bytes.chunks(STEP)) {
        to.copy_from_slice(step);
    }
}

/// Appends a copy of `text`.
#[inline]
pub(super) fn push_str(to: &mut String, mut text: &str) {
    while text.len() > STEP {
        // A character has at most four bytes.
        let end = (STEP - 3..=STEP).rfind(|&end| text.is_char_boundary(end));
        let (step, rest) = text.split_at(end.unwrap_or(STEP));
        to.push_str(step);
        text = rest;
    }
    to.push_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_copied_whatever_the_length() {
        for length in [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP, 10_000] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let mut copy = to_vec(&bytes);
            assert_eq!(copy, bytes);
            extend(&mut copy, &bytes);
            assert_eq!(copy[length..], bytes);
            let mut copy = vec![0; length];
            overwrite(&mut copy, &bytes);
            assert_eq!(copy, bytes);
        }
    }

    #[test]
    fn text_is_cut_between_characters_only() {
        for character in ["a", "ä", "語", "😀"] {
            for before in 0..5 {
                let text = "b".repeat(before) + &character.repeat(3000);
                let mut copy = String::from("c");
                push_str(&mut copy, &text);
                assert_eq!(copy[1..], text);
            }
        }
    }
}
