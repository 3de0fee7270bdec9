//! Upgrades in servers that are built on hyper.

use http::Extensions;
use hyper::upgrade::OnUpgrade;

use super::upgrade_io::Upgrade;
use crate::{
    error::BoxError,
    io::{BoxIo, HyperIo},
};

pub(super) fn take(extensions: &mut Extensions) -> Option<Upgrade> {
    let upgrade = extensions.remove::<OnUpgrade>()?;
    Some(Box::pin(async move {
        let upgraded = upgrade.await.map_err(explain)?;
        Ok(Box::new(HyperIo::new(upgraded)) as BoxIo)
    }))
}

/// The error for a hyper connection that is served without upgrades: the server has to be changed.
#[derive(Debug, thiserror::Error)]
#[error(
    "hyper serves this connection without upgrades: \
     call `.with_upgrades()` on the connection that `serve_connection` returns, \
     or `serve_connection_with_upgrades` if the builder has that"
)]
struct WithoutUpgrades(#[source] hyper::Error);

/// Adds advice to hyper's error if the server is at fault.
///
/// While an upgrade is pending, hyper has two errors. A user error means that the connection is
/// polled without upgrades. A cancellation means that the client left, that the answer is not a
/// 101, or that the connection was dropped.
fn explain(error: hyper::Error) -> BoxError {
    if error.is_user() {
        WithoutUpgrades(error).into()
    } else {
        error.into()
    }
}
