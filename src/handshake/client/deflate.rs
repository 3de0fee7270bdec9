//! The client's part of the negotiation of permessage-deflate (RFC 7692, sections 5 and 7.1).

use http::HeaderMap;

use crate::{
    config::{Compression, DeflateConfig, MAX_WINDOW, Takeover},
    handshake::{
        deflate::{ClientWindow, NAME, Parameters, smaller},
        extensions::{self, Malformed},
    },
};

/// Returns the offer of a client with these settings.
pub(super) fn offer(config: &DeflateConfig) -> Parameters {
    Parameters {
        server_no_context_takeover: !config.receive_takeover,
        client_no_context_takeover: config.send_takeover == Takeover::None,
        server_max_window_bits: smaller(config.receive_window()),
        client_max_window_bits: Some(match smaller(config.send_window()) {
            Some(bits) => ClientWindow::Bits(bits),
            None => ClientWindow::Any,
        }),
    }
}

/// Checks the answer to an offer by these settings, or to none. Returns what was agreed; `None`
/// without compression.
///
/// The answer may name no other extension, and has to keep to the offer.
pub(super) fn check(
    headers: &HeaderMap,
    offered: Option<&DeflateConfig>,
) -> Result<Option<Compression>, Malformed> {
    let mut count = 0;
    let mut agreed = None;
    extensions::each(headers, |extension| {
        count += 1;
        let known = Some(extension).filter(|extension| extension.name == NAME);
        agreed = known
            .and_then(Parameters::read)
            .and_then(|answer| agree(answer, offered?));
    })?;
    match (count, agreed) {
        (0, _) => Ok(None),
        (1, Some(agreed)) => Ok(Some(agreed)),
        _ => Err(Malformed),
    }
}

/// Returns what an answer agrees to; `None` if it does not keep to the offer by these settings.
pub(super) fn agree(answer: Parameters, config: &DeflateConfig) -> Option<Compression> {
    let offer = offer(config);
    let window = match (answer.client_max_window_bits, offer.client_max_window_bits) {
        (None, _) => MAX_WINDOW,
        (Some(ClientWindow::Bits(bits)), Some(ClientWindow::Any)) => bits,
        (Some(ClientWindow::Bits(bits)), Some(ClientWindow::Bits(most))) if bits <= most => bits,
        _ => return None,
    };
    let peer_window = answer.server_max_window_bits.unwrap_or(MAX_WINDOW);
    let is_kept = peer_window <= config.receive_window()
        && (answer.server_no_context_takeover || !offer.server_no_context_takeover);
    let takeover = match config.send_takeover {
        _ if answer.client_no_context_takeover => Takeover::None,
        takeover => takeover,
    };
    is_kept.then_some(Compression {
        level: config.level,
        threshold: config.threshold,
        takeover,
        window: window.min(config.send_window()),
        peer_window: (!answer.server_no_context_takeover).then_some(peer_window),
    })
}
