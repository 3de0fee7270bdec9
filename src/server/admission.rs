//! Admission: the permit of a handshake, by the tracker that counts its socket.

use http::request::Parts;

use crate::{
    config::ConfigError,
    error::Result,
    tracker::{Permit, Tracker},
};

/// Returns the permit that a handshake has already, else one of the settings' `tracker`. The
/// `request` is `None` where it is not known any more.
pub(super) fn admit(
    permit: Option<Permit>,
    tracker: Option<&Tracker>,
    request: Option<&Parts>,
) -> Result<Option<Permit>> {
    let Some(tracker) = tracker.filter(|_| permit.is_none()) else {
        return Ok(permit);
    };
    let permit = match request {
        Some(request) => tracker.admit(request, None)?,
        None if tracker.needs_request() => return Err(ConfigError::TrackerNeedsRequest.into()),
        None => tracker.permit(None)?,
    };
    Ok(Some(permit))
}
