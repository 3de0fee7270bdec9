//! The same types without the feature `deflate`. No value of them can be created.

use std::convert::Infallible;

use super::{Deflated, Inflated};
use crate::{config::Compression, message::Bytes, proto::ProtocolError};

/// Whether a handshake may agree to compression.
pub(crate) const CAN_COMPRESS: bool = false;

#[derive(Debug)]
pub(in crate::proto) struct Inflater(Infallible);

impl Inflater {
    pub(in crate::proto) fn new(_: &Compression) -> Option<Self> {
        None
    }

    pub(in crate::proto) fn len(&self) -> usize {
        match self.0 {}
    }

    pub(in crate::proto) fn push(
        &mut self,
        _: &[u8],
        _: bool,
        _: impl FnMut(&mut [u8], bool) -> Result<(), ProtocolError>,
    ) -> Result<(Inflated, usize), ProtocolError> {
        match self.0 {}
    }

    pub(in crate::proto) fn resume(
        &mut self,
        _: impl FnMut(&mut [u8], bool) -> Result<(), ProtocolError>,
    ) -> Result<(Inflated, usize), ProtocolError> {
        match self.0 {}
    }

    pub(in crate::proto) fn discard(&mut self) {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(in crate::proto) struct Deflater(Infallible);

#[derive(Debug)]
pub(in crate::proto) struct Job(Infallible);

impl Deflater {
    pub(in crate::proto) fn new(_: &Compression) -> Option<Self> {
        None
    }

    pub(in crate::proto) fn min_len(&self) -> usize {
        match self.0 {}
    }

    pub(in crate::proto) fn begin(&mut self) -> Job {
        match self.0 {}
    }

    pub(in crate::proto) fn step(&mut self, _: &mut Job, _: &Bytes) -> Deflated {
        match self.0 {}
    }

    pub(in crate::proto) fn stop(&mut self, _: Job) {
        match self.0 {}
    }

    pub(in crate::proto) fn step_prepared(&mut self, _: &Variants, _: &Bytes) -> Deflated {
        match self.0 {}
    }
}

/// The compressed forms of a prepared message: none.
#[derive(Debug, Default)]
pub(in crate::proto) struct Variants(());

impl Variants {
    pub(in crate::proto) fn is_empty(&self) -> bool {
        let Self(()) = self;
        true
    }
}
