//! JSON messages to measure compression with. All of them are different.

use std::fmt::Write;

use crate::random::Random;

const SYMBOLS: [&str; 12] = [
    "ACME-EUR", "BOLT-USD", "CRUX-GBP", "DUNE-USD", "ELMS-EUR", "FERN-CHF", "GALE-USD", "HIVE-EUR",
    "IRIS-JPY", "JADE-USD", "KELP-EUR", "LYNX-GBP",
];
const STATES: [&str; 4] = ["open", "filled", "cancelled", "partially-filled"];
const PEOPLE: [&str; 8] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi",
];

/// Where the last field begins, which fills the message up.
const FILLER: &str = "{\"filler\":\"";
const END: &str = "\"}]";

/// A message of exactly `length` bytes: a list of records with the same keys and other values.
///
/// # Panics
///
/// When `length` is too short for an empty list.
#[must_use]
pub fn message(length: usize, random: &mut Random) -> Vec<u8> {
    let mut text = "[".to_owned();
    loop {
        let record = record(random);
        if text.len() + record.len() + FILLER.len() + END.len() > length {
            break;
        }
        text += &record;
    }
    text += FILLER;
    let missing = length.checked_sub(text.len() + END.len());
    for _ in 0..missing.expect("there is room for the list") {
        let digit = random.below(16);
        text.extend(char::from_digit(digit, 16));
    }
    text += END;
    text.into_bytes()
}

fn record(random: &mut Random) -> String {
    let mut record = String::new();
    let one_of = |names: &[&'static str], random: &mut Random| {
        names[usize::try_from(random.draw()).unwrap_or_default() % names.len()]
    };
    let symbol = one_of(&SYMBOLS, random);
    let state = one_of(&STATES, random);
    let owner = one_of(&PEOPLE, random);
    write!(
        record,
        "{{\"id\":{},\"symbol\":\"{symbol}\",\"price\":{}.{:02},\"quantity\":{},\
         \"state\":\"{state}\",\"owner\":\"{owner}\",\"updated\":17{:08}}},",
        100_000 + random.below(900_000),
        1 + random.below(999),
        random.below(100),
        1 + random.below(5000),
        random.below(100_000_000),
    )
    .expect("a string takes everything");
    record
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn messages_have_their_length_and_differ() {
        let mut random = Random::new(1);
        let mut seen = BTreeSet::new();
        for length in [300, 4096, 65_536].repeat(8) {
            let message = message(length, &mut random);
            assert_eq!(message.len(), length);
            assert!(message.starts_with(b"[{\"id\":") && message.ends_with(b"\"}]"));
            assert!(seen.insert(message));
        }
    }
}
