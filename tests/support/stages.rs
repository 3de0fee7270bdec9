//! How far a connection has come, as seen by somebody who only passes its bytes on.

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

impl Way {
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];
}

/// A point in the life of a connection, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Within the head of the request.
    RequestHead,
    /// Within the head of the response.
    Response,
    /// Right behind the response.
    Idle,
    /// Half of the payload of a data frame has passed.
    Message,
    /// Within the header of a Close frame.
    Close,
    /// Both Close frames have passed.
    AfterClose,
}

impl Stage {
    pub const ALL: [Self; 6] = [
        Self::RequestHead,
        Self::Response,
        Self::Idle,
        Self::Message,
        Self::Close,
        Self::AfterClose,
    ];
}

/// How many bytes of a head pass before a connection counts as within it.
const WITHIN_HEAD: usize = 20;

/// The lowest opcode of control frames (RFC 6455, section 5.2).
const FIRST_CONTROL: u8 = 8;

const CLOSE: u8 = 8;

/// What has passed in both directions.
#[derive(Debug, Default)]
pub struct Progress([Track; 2]);

impl Progress {
    /// Notes the next byte of a direction.
    pub fn push(&mut self, way: Way, byte: u8) {
        self.0[way as usize].push(byte);
    }

    /// Returns whether the connection is now at `stage`. For messages and Closes, those that go
    /// `way` count.
    pub fn is_at(&self, stage: Stage, way: Way) -> bool {
        let [to_server, to_client] = &self.0;
        let track = &self.0[way as usize];
        match stage {
            Stage::RequestHead => to_server.head_len >= WITHIN_HEAD,
            Stage::Response => to_client.head_len >= WITHIN_HEAD,
            Stage::Idle => to_client.is_behind_head,
            Stage::Message => track.is_in_message(),
            Stage::Close => track.opcode() == Some(CLOSE),
            Stage::AfterClose => to_server.is_closed && to_client.is_closed,
        }
    }
}

/// What has passed in one direction: an HTTP head, then frames.
#[derive(Debug, Default)]
struct Track {
    head_len: usize,
    /// The last four bytes of the head.
    tail: [u8; 4],
    is_behind_head: bool,
    /// The header of the current frame, as far as it has passed.
    frame: Vec<u8>,
    /// The length of its payload, and how much of that is still to come.
    length: u64,
    left: u64,
    /// A whole Close has passed.
    is_closed: bool,
}

impl Track {
    fn push(&mut self, byte: u8) {
        if self.is_behind_head {
            self.push_frame(byte);
            return;
        }
        self.head_len += 1;
        self.tail.rotate_left(1);
        self.tail[3] = byte;
        self.is_behind_head = self.tail == *b"\r\n\r\n";
    }

    fn push_frame(&mut self, byte: u8) {
        if self.left > 0 {
            self.left -= 1;
        } else {
            self.frame.push(byte);
            let Some(length) = payload_length(&self.frame) else {
                return;
            };
            self.length = length;
            self.left = length;
        }
        if self.left == 0 {
            self.is_closed |= self.opcode() == Some(CLOSE);
            self.frame.clear();
        }
    }

    fn opcode(&self) -> Option<u8> {
        self.frame.first().map(|first| first & 0x0f)
    }

    fn is_in_message(&self) -> bool {
        let is_data = self.opcode().is_some_and(|opcode| opcode < FIRST_CONTROL);
        is_data && self.left > 0 && self.length - self.left >= self.length / 2
    }
}

/// Returns the length that the header of a frame announces; `None` while it is incomplete.
fn payload_length(header: &[u8]) -> Option<u64> {
    let [_, second, rest @ ..] = header else {
        return None;
    };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if rest.len() < extended + mask {
        return None;
    }
    Some(match &rest[..extended] {
        [] => u64::from(second & 0x7f),
        bytes => bytes
            .iter()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
    })
}
