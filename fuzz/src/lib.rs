//! What the fuzz targets share: an encoder and a strict parser of frames, written apart from the
//! crate's own, a byte stream that follows a script, and a way to poll by hand.

pub mod answer;
pub mod extensions;
pub mod head;
pub mod inflate;
pub mod model;
pub mod plaintext;
pub mod script;
pub mod strict;
pub mod task;
pub mod walk;
pub mod wire;
