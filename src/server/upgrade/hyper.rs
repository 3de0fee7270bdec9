//! The upgrade of a server that is built on hyper.

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

/// A hyper connection that was served without upgrades: the server has to be changed.
#[derive(Debug, thiserror::Error)]
#[error(
    "hyper serves this connection without upgrades: \
     call `.with_upgrades()` on the connection that `serve_connection` returns, \
     or `serve_connection_with_upgrades` if the builder has that"
)]
struct WithoutUpgrades(#[source] hyper::Error);

/// Says what to do about hyper's error, if it is the server's fault.
///
/// While an upgrade is waited for, hyper has two errors. One is the user's, for a connection that
/// is polled as a plain one. The other is a cancellation, for a client that left, an answer that is
/// no 101, or a connection that was dropped.
fn explain(error: hyper::Error) -> BoxError {
    if error.is_user() {
        WithoutUpgrades(error).into()
    } else {
        error.into()
    }
}
