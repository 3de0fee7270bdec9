//! The side of an endpoint that sends.

use std::{fmt, io::IoSlice};

use super::{Agreed, role};
use crate::{
    config::{Compression, TransportConfig},
    message::Message,
    proto::{Endpoint, MAX_SLICES, Outgoing, PreparedMessage},
};

/// An end of a connection that sends messages to memory.
pub struct Sending(Endpoint);

impl Sending {
    /// Creates a server or a client, with the compression that was agreed.
    #[must_use]
    pub fn new(is_server: bool, limits: &TransportConfig, agreed: Option<Agreed>) -> Self {
        let compression = agreed.map(Compression::from);
        Self(Endpoint::new(role(is_server), limits, compression.as_ref()))
    }

    /// Buffers a message that may be sent, or starts to compress it. One that is being compressed
    /// is buffered before it.
    pub fn send(&mut self, message: Message) {
        if let Ok(mut message) = Outgoing::new(message)
            && self.0.can_send()
        {
            self.0.send(&mut message);
        }
    }

    /// Does the same with a prepared message.
    pub fn send_prepared(&mut self, message: &PreparedMessage) {
        if self.0.can_send() {
            self.0.send_prepared(message.clone());
        }
    }

    /// Returns whether a message is being compressed.
    #[must_use]
    pub fn is_compressing(&self) -> bool {
        self.0.is_compressing()
    }

    /// Compresses the next part of a message.
    pub fn go_on(&mut self) {
        self.0.go_on_compressing();
    }

    /// Buffers the message that is being compressed as it is.
    pub fn stop(&mut self) {
        self.0.stop_compressing();
    }

    /// Takes what is buffered.
    pub fn take(&mut self) -> Vec<u8> {
        let buffer = self.0.write_buffer();
        let mut bytes = Vec::with_capacity(buffer.len());
        while !buffer.is_empty() {
            let before = bytes.len();
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = buffer.fill(&mut slices);
            slices[..count]
                .iter()
                .for_each(|it| bytes.extend_from_slice(it));
            buffer.advance(bytes.len() - before);
        }
        bytes
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sending").field(&self.0.state()).finish()
    }
}
