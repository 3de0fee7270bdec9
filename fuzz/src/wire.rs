//! Frames and messages of a peer, and the bytes that they are.

use anyws::Message;
use arbitrary::Arbitrary;

/// Continues a message.
pub const CONTINUATION: u8 = 0;
/// Begins a text.
pub const TEXT: u8 = 1;
/// Begins a message of bytes.
pub const BINARY: u8 = 2;
/// Closes.
pub const CLOSE: u8 = 8;
/// Asks for a pong.
pub const PING: u8 = 9;
/// Answers a ping.
pub const PONG: u8 = 10;

/// The most that a control frame carries.
pub const MAX_CONTROL: usize = 125;

/// In the place of a length: two bytes of it follow.
const LENGTH_16: u8 = 126;
/// In the place of a length: eight bytes of it follow.
const LENGTH_64: u8 = 127;

/// A payload, short and arbitrary or long and made up.
#[derive(Arbitrary, Clone, Debug)]
pub enum Payload {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes.
    Long {
        /// How many there are; see [`Payload::length`].
        length: u16,
        /// The first of them.
        first: u8,
    },
}

/// Most of the long payloads are not longer than this, which is enough for every form of length but
/// the longest: the fuzzer tries more of them in the same time.
const SELDOM_LONGER: u16 = 600;

impl Payload {
    /// The length of a long payload.
    fn length(length: u16, first: u8) -> usize {
        let is_seldom = first.is_multiple_of(16);
        usize::from(if is_seldom {
            length
        } else {
            length % SELDOM_LONGER
        })
    }

    /// The bytes of the payload.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            // 251 is a prime: no buffer's length is a multiple of it.
            Self::Long { length, first } => (0..251u8)
                .cycle()
                .take(Self::length(*length, *first))
                .map(|byte| byte.wrapping_add(*first))
                .collect(),
        }
    }

    /// A text with as many characters of the payload as are any.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            // Characters of one, two, three and four bytes.
            Self::Long { length, first } => {
                let all = "aé語🦀".chars().cycle();
                let from = usize::from(*first % 4);
                all.skip(from).take(Self::length(*length, *first)).collect()
            }
        }
    }

    /// What of the payload fits in a control frame.
    #[must_use]
    pub fn control(&self) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes.truncate(MAX_CONTROL);
        bytes
    }
}

/// How the length of a frame is written.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As short as it can be.
    Shortest,
    /// In two bytes, if it fits.
    Two,
    /// In eight bytes.
    Eight,
    /// In eight bytes, the most significant bit set.
    TopBit,
}

/// A frame, right or wrong.
#[derive(Arbitrary, Clone, Debug)]
pub struct Frame {
    /// The last of its message.
    pub fin: bool,
    /// Bits whose three lowest ones are the reserved ones.
    pub reserved: u8,
    /// Bits whose four lowest ones are the opcode.
    pub opcode: u8,
    /// The mask.
    pub key: Option<[u8; 4]>,
    /// How the length is written.
    pub form: Form,
    /// The payload, not masked.
    pub payload: Payload,
}

impl Frame {
    /// Writes the frame behind `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let first = u8::from(self.fin) << 7 | (self.reserved & 7) << 4 | self.opcode & 15;
        encode(first, self.key, self.form, &self.payload.bytes(), out);
    }
}

/// Writes a frame with the first byte `first`.
pub fn encode(first: u8, key: Option<[u8; 4]>, form: Form, payload: &[u8], out: &mut Vec<u8>) {
    header(first, key, form, payload.len() as u64, out);
    let keys = key.unwrap_or_default().into_iter().cycle();
    out.extend(payload.iter().zip(keys).map(|(byte, key)| byte ^ key));
}

/// Writes the header of a frame.
pub fn header(first: u8, key: Option<[u8; 4]>, form: Form, length: u64, out: &mut Vec<u8>) {
    let mask = u8::from(key.is_some()) << 7;
    let short = u8::try_from(length).ok().filter(|&length| length < 126);
    let medium = u16::try_from(length).ok();
    out.push(first);
    match (form, short, medium) {
        (Form::Shortest, Some(short), _) => out.push(mask | short),
        (Form::Shortest | Form::Two, _, Some(medium)) => {
            out.push(mask | LENGTH_16);
            out.extend(medium.to_be_bytes());
        }
        _ => {
            let top = u64::from(form == Form::TopBit) << 63;
            out.push(mask | LENGTH_64);
            out.extend((length | top).to_be_bytes());
        }
    }
    out.extend(key.iter().flatten());
}

/// A message of a peer that does it right.
#[derive(Arbitrary, Clone, Debug)]
pub enum Sent {
    /// A data message in fragments.
    Data {
        /// A text, and not bytes.
        is_text: bool,
        /// What it carries.
        payload: Payload,
        /// The places of the cuts between fragments.
        cuts: Vec<u16>,
        /// Pings and pongs between the fragments.
        between: Vec<Control>,
        /// The mask of the first frame; those of the others are others.
        key: [u8; 4],
    },
    /// A ping or pong.
    Control(Control),
    /// A Close, whatever its code.
    Close {
        /// The code, if there is one.
        code: Option<Code>,
        /// The reason.
        reason: Payload,
        /// The mask.
        key: [u8; 4],
    },
}

/// The code of a Close, near to where its meaning changes or anywhere.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Code {
    /// One of those that the RFC and the registry name, and some behind them.
    Named(u8),
    /// About the first that is for libraries.
    Near3000(i8),
    /// About the last that is for applications.
    Near4999(i8),
    /// Any.
    Any(u16),
}

impl Code {
    /// The number.
    #[must_use]
    pub fn value(self) -> u16 {
        match self {
            Self::Named(by) => 999 + u16::from(by % 20),
            Self::Near3000(by) => 3000u16.saturating_add_signed(by.into()),
            Self::Near4999(by) => 4999u16.saturating_add_signed(by.into()),
            Self::Any(code) => code,
        }
    }
}

/// A ping or a pong.
#[derive(Arbitrary, Clone, Debug)]
pub struct Control {
    is_ping: bool,
    payload: Payload,
    key: [u8; 4],
}

impl Control {
    /// Writes the frame behind `out`, and the message.
    pub fn encode(&self, masked: bool, out: &mut Vec<u8>, messages: &mut Vec<Message>) {
        let payload = self.payload.control();
        let opcode = if self.is_ping { PING } else { PONG };
        let key = masked.then_some(self.key);
        encode(0x80 | opcode, key, Form::Shortest, &payload, out);
        messages.push(match opcode {
            PING => Message::Ping(payload.into()),
            _ => Message::Pong(payload.into()),
        });
    }
}

impl Sent {
    /// Writes the frames of the message behind `out`, and the messages in their order.
    pub fn encode(&self, masked: bool, out: &mut Vec<u8>, messages: &mut Vec<Message>) {
        match self {
            Self::Control(control) => control.encode(masked, out, messages),
            Self::Close { code, reason, key } => {
                let mut payload = Vec::new();
                if let Some(code) = code {
                    payload.extend(code.value().to_be_bytes());
                    let mut reason = reason.text();
                    while reason.len() > MAX_CONTROL - 2 {
                        reason.pop();
                    }
                    payload.extend(reason.as_bytes());
                }
                let key = masked.then_some(*key);
                encode(0x80 | CLOSE, key, Form::Shortest, &payload, out);
            }
            Self::Data {
                is_text,
                payload,
                cuts,
                between,
                key,
            } => {
                let bytes = if *is_text {
                    payload.text().into_bytes()
                } else {
                    payload.bytes()
                };
                let mut opcode = if *is_text { TEXT } else { BINARY };
                let mut key = *key;
                let mut between = between.iter();
                let pieces = pieces(&bytes, cuts.iter().copied());
                let last = pieces.len() - 1;
                for (at, piece) in pieces.into_iter().enumerate() {
                    let fin = u8::from(at == last) << 7;
                    let mask = masked.then_some(key);
                    encode(fin | opcode, mask, Form::Shortest, piece, out);
                    opcode = CONTINUATION;
                    key = key.map(|byte| byte.wrapping_mul(5).wrapping_add(3));
                    if at != last
                        && let Some(control) = between.next()
                    {
                        control.encode(masked, out, messages);
                    }
                }
                messages.push(if *is_text {
                    Message::text(String::from_utf8(bytes).expect("it was a text"))
                } else {
                    Message::binary(bytes)
                });
            }
        }
    }
}

/// Cuts `bytes` at these places, as far as they are inside; there is always one piece.
pub fn pieces(bytes: &[u8], cuts: impl IntoIterator<Item = u16>) -> Vec<&[u8]> {
    let mut cuts: Vec<usize> = cuts
        .into_iter()
        .map(|cut| usize::from(cut) % (bytes.len() + 1))
        .collect();
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for cut in cuts {
        pieces.push(&bytes[from..cut]);
        from = cut;
    }
    pieces.push(&bytes[from..]);
    pieces
}
