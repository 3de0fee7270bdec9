//! Plaintext in which there is something to find, and something that is not.

use arbitrary::Arbitrary;

/// The longest plaintext.
const MAX: usize = 160 * 1024;

/// Pieces of a plaintext.
#[derive(Arbitrary, Clone, Debug)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of one value.
    Run {
        /// The value.
        byte: u8,
        /// How many there are; see [`length`].
        length: u16,
    },
    /// Bytes in which nothing repeats.
    Noise {
        /// Others with another seed.
        seed: u8,
        /// How many there are; see [`length`].
        length: u16,
    },
    /// Text like that of an API, the same in each message.
    Json {
        /// Where it starts.
        at: u8,
        /// How many bytes there are; see [`length`].
        length: u16,
    },
    /// What was sent before, so far back.
    Again {
        /// From the end, in bytes.
        back: u16,
        /// How many bytes there are.
        length: u16,
    },
}

/// Most pieces are short, so that more of them are tried in the same time.
fn length(length: u16) -> usize {
    let length = usize::from(length);
    if length.is_multiple_of(16) {
        length
    } else {
        length % 1024
    }
}

/// Makes a plaintext; `before` is what was sent before it.
#[must_use]
pub fn plaintext(pieces: &[Piece], before: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(piece) => bytes.extend(piece),
            Piece::Run { byte, length: len } => {
                bytes.resize(bytes.len() + length(*len), *byte);
            }
            Piece::Noise { seed, length: len } => bytes.extend(noise(*seed, length(*len))),
            Piece::Json { at, length: len } => {
                let all = (u32::from(*at)..).flat_map(|id| {
                    let name = id.wrapping_mul(2_654_435_761) >> 20;
                    format!("{{\"id\":{id},\"name\":\"Jürgen {name}\"}},").into_bytes()
                });
                bytes.extend(all.take(length(*len)));
            }
            Piece::Again { back, length: len } => {
                let all = [before, &bytes].concat();
                let from = all.len().saturating_sub(usize::from(*back));
                bytes.extend(all[from..].iter().take(length(*len)));
            }
        }
        if bytes.len() > MAX {
            bytes.truncate(MAX);
            break;
        }
    }
    bytes
}

fn noise(seed: u8, length: usize) -> impl Iterator<Item = u8> {
    let mut state = (u64::from(seed) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
}
