//! What two ends agree to without a handshake.

use super::deflate::{agree, offer};
use crate::{
    config::{Compression, DeflateConfig},
    handshake::deflate::answer,
};

/// Returns what the client and the server have agreed after a handshake between their settings.
pub(crate) fn between(
    client: &DeflateConfig,
    server: &DeflateConfig,
) -> Option<(Compression, Compression)> {
    let (answer, for_server) = answer(offer(client), server);
    Some((agree(answer, client)?, for_server))
}
