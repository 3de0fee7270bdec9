//! The negotiation of permessage-deflate (RFC 7692, sections 5 and 7.1).

use std::fmt;

use http::{HeaderMap, HeaderValue};

use super::extensions::{self, Extension, Malformed, Parameter};
use crate::config::{Compression, DeflateConfig, MAX_WINDOW, MIN_WINDOW, Takeover};

pub(super) const NAME: &[u8] = b"permessage-deflate";

/// The parameters of an offer, or of the answer to it (RFC 7692, section 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    pub(super) server_max_window_bits: Option<u8>,
    pub(super) client_max_window_bits: Option<ClientWindow>,
}

/// The value of `client_max_window_bits` (RFC 7692, section 7.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientWindow {
    /// Only in an offer: the client may be told a window.
    Any,
    Bits(u8),
}

/// Returns the first offer of a client that a server can accept, whatever its settings are (RFC
/// 7692, section 5). Others are declined.
pub(super) fn find_offer(headers: &HeaderMap) -> Result<Option<Parameters>, Malformed> {
    let mut first = None;
    extensions::each(headers, |extension| {
        if first.is_none() && extension.name == NAME {
            first = Parameters::read(extension).filter(|offer| offer.is_acceptable());
        }
    })?;
    Ok(first)
}

/// Returns a server's answer to an offer, and what it agrees to by that.
pub(super) fn answer(offer: Parameters, config: &DeflateConfig) -> (Parameters, Compression) {
    let window = config.send_window();
    let window = offer.server_max_window_bits.unwrap_or(window).min(window);
    let takeover = match config.send_takeover {
        _ if offer.server_no_context_takeover => Takeover::None,
        takeover => takeover,
    };
    let allowed = config.receive_window();
    let client_window = match offer.client_max_window_bits {
        Some(ClientWindow::Bits(bits)) => bits.min(allowed),
        Some(ClientWindow::Any) => allowed,
        // It cannot be told a window.
        None => MAX_WINDOW,
    };
    let peer_takes_over = config.receive_takeover
        && !offer.client_no_context_takeover
        && (offer.client_max_window_bits.is_some() || allowed == MAX_WINDOW);
    let answer = Parameters {
        server_no_context_takeover: takeover == Takeover::None,
        client_no_context_takeover: !peer_takes_over,
        server_max_window_bits: offer
            .server_max_window_bits
            .map_or_else(|| smaller(window), |_| Some(window)),
        client_max_window_bits: smaller(client_window).map(ClientWindow::Bits),
    };
    let compression = Compression {
        level: config.level,
        threshold: config.threshold,
        takeover,
        window,
        peer_window: peer_takes_over.then_some(client_window),
    };
    (answer, compression)
}

impl Parameters {
    /// Reads the parameters of an extension. Returns `None` if one of them is unknown, doubled or
    /// has a value that it may not have (RFC 7692, section 7.1).
    pub(super) fn read(extension: &Extension<'_>) -> Option<Self> {
        let mut read = Self::default();
        for &Parameter { name, value } in &extension.parameters {
            let is_first = match (name, value) {
                (b"server_no_context_takeover", None) => {
                    !std::mem::replace(&mut read.server_no_context_takeover, true)
                }
                (b"client_no_context_takeover", None) => {
                    !std::mem::replace(&mut read.client_no_context_takeover, true)
                }
                (b"server_max_window_bits", Some(value)) => {
                    let bits = &mut read.server_max_window_bits;
                    bits.replace(window_bits(value)?).is_none()
                }
                (b"client_max_window_bits", value) => {
                    let window = match value {
                        Some(value) => ClientWindow::Bits(window_bits(value)?),
                        None => ClientWindow::Any,
                    };
                    read.client_max_window_bits.replace(window).is_none()
                }
                _ => false,
            };
            if !is_first {
                return None;
            }
        }
        Some(read)
    }

    /// Returns whether a server can compress as this offer demands.
    fn is_acceptable(self) -> bool {
        self.server_max_window_bits
            .is_none_or(|bits| bits >= MIN_WINDOW)
    }

    /// Returns the value of the header.
    pub(super) fn to_value(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("names and numbers are a valid value")
    }
}

/// Writes an element of the header.
impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate")?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        match self.client_max_window_bits {
            Some(ClientWindow::Any) => f.write_str("; client_max_window_bits"),
            Some(ClientWindow::Bits(bits)) => write!(f, "; client_max_window_bits={bits}"),
            None => Ok(()),
        }
    }
}

/// Returns a window that has to be told, because it is not the largest one.
pub(super) fn smaller(bits: u8) -> Option<u8> {
    Some(bits).filter(|&bits| bits < MAX_WINDOW)
}

/// Reads a number from 8 to 15 without leading zeroes (RFC 7692, section 7.1.2). In a quoted
/// string, characters may be escaped (RFC 9110, section 5.6.4).
fn window_bits(value: &[u8]) -> Option<u8> {
    let mut digits = value.iter().filter(|&&byte| byte != b'\\');
    match (digits.next()?, digits.next(), digits.next()) {
        (b'8', None, None) => Some(8),
        (b'9', None, None) => Some(9),
        (b'1', Some(digit @ b'0'..=b'5'), None) => Some(10 + digit - b'0'),
        _ => None,
    }
}
