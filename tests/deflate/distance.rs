//! How far back compressed data refers (RFC 1951). A decoder of zlib does not tell: it takes any
//! reference into what it still has in its output.

/// The extra bits of lengths and distances, and the lowest value of each code (section 3.2.5).
const LENGTHS: [(u32, usize); 29] = [
    (0, 3),
    (0, 4),
    (0, 5),
    (0, 6),
    (0, 7),
    (0, 8),
    (0, 9),
    (0, 10),
    (1, 11),
    (1, 13),
    (1, 15),
    (1, 17),
    (2, 19),
    (2, 23),
    (2, 27),
    (2, 31),
    (3, 35),
    (3, 43),
    (3, 51),
    (3, 59),
    (4, 67),
    (4, 83),
    (4, 99),
    (4, 115),
    (5, 131),
    (5, 163),
    (5, 195),
    (5, 227),
    (0, 258),
];

/// The order of the lengths of the codes for code lengths (section 3.2.7).
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// Returns the farthest distance in a compressed message, without the end of its flush.
pub(crate) fn farthest(message: &[u8]) -> usize {
    let bytes = [message, &[0, 0, 0xff, 0xff]].concat();
    let mut bits = Bits {
        bytes: &bytes,
        at: 0,
    };
    let mut farthest = 0;
    while bits.at + 8 <= bits.bytes.len() * 8 {
        assert_eq!(bits.take(1), 0, "a last block");
        match bits.take(2) {
            0 => bits.skip_stored(),
            1 => {
                let lengths: Vec<u8> = (0..288)
                    .map(|symbol| match symbol {
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    })
                    .collect();
                let distances = Code::new(&[5; 30]);
                farthest = farthest.max(block(&mut bits, &Code::new(&lengths), &distances));
            }
            2 => {
                let (literals, distances) = dynamic(&mut bits);
                farthest = farthest.max(block(&mut bits, &literals, &distances));
            }
            _ => panic!("no such block"),
        }
    }
    farthest
}

/// Reads bits, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> usize {
        (0..count).fold(0, |value, bit| value | self.bit() << bit)
    }

    fn bit(&mut self) -> usize {
        let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
        self.at += 1;
        bit.into()
    }

    fn skip_stored(&mut self) {
        self.at = self.at.next_multiple_of(8);
        let length = self.take(16);
        assert_eq!(self.take(16), !length & 0xffff);
        self.at += 8 * length;
    }
}

/// A canonical Huffman code (section 3.2.2): the symbols by length, then by value.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        for &length in lengths {
            counts[usize::from(length)] += 1;
        }
        counts[0] = 0;
        let used = lengths
            .iter()
            .enumerate()
            .filter(|(_, length)| **length > 0);
        let mut symbols: Vec<_> = used.map(|(symbol, &length)| (length, symbol)).collect();
        symbols.sort_unstable();
        let symbols = symbols.into_iter().map(|(_, symbol)| symbol).collect();
        Self { counts, symbols }
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.bit();
            if code < first + count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("no such code");
    }
}

/// Reads the codes of a block that has its own (section 3.2.7).
fn dynamic(bits: &mut Bits<'_>) -> (Code, Code) {
    let literals = bits.take(5) + 257;
    let distances = bits.take(5) + 1;
    let count = bits.take(4) + 4;
    let mut lengths = [0; 19];
    for &at in &ORDER[..count] {
        lengths[at] = u8::try_from(bits.take(3)).unwrap();
    }
    let code = Code::new(&lengths);
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (value, repeat) = match code.symbol(bits) {
            16 => (*lengths.last().unwrap(), 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (u8::try_from(length).unwrap(), 1),
        };
        lengths.extend(std::iter::repeat_n(value, repeat));
    }
    let (literals, distances) = lengths.split_at(literals);
    (Code::new(literals), Code::new(distances))
}

/// Reads the data of a block. Returns its farthest distance.
fn block(bits: &mut Bits<'_>, literals: &Code, distances: &Code) -> usize {
    let mut farthest = 0;
    loop {
        match literals.symbol(bits) {
            0..256 => {}
            256 => return farthest,
            symbol => {
                let (extra, _) = LENGTHS[symbol - 257];
                bits.take(extra);
                let symbol = distances.symbol(bits);
                let extra = u32::try_from(symbol.saturating_sub(2) / 2).unwrap();
                let lowest = match symbol {
                    0..4 => symbol + 1,
                    _ => (2 + symbol % 2) << extra | 1,
                };
                farthest = farthest.max(lowest + bits.take(extra));
            }
        }
    }
}

#[test]
fn it_finds_the_distance_in_a_message() {
    use crate::{codec::Sender, echo::noise};
    for distance in [100, 511, 513, 4095, 4097, 20_000, 32_000] {
        // Few letters: each block has a code of its own.
        let letters = |seed, length| noise(seed, length).into_iter().map(|it| it % 16);
        let repeated: Vec<_> = letters(1, 40).collect();
        let filler: Vec<_> = letters(2, distance - 40).collect();
        let message = [&repeated[..], &filler, &repeated].concat();
        for level in [1, 3, 6, 9] {
            let compressed = Sender::new(level, 15).message(&message);
            let found = farthest(&compressed);
            // Noise has a few short repetitions of its own.
            assert!(
                (distance..message.len()).contains(&found),
                "{distance}: {found}"
            );
        }
    }
}
