//! The upgrade of a server that is built on hyper.

use http::Extensions;
use hyper::upgrade::OnUpgrade;

use super::door::Upgrade;
use crate::io::{BoxIo, HyperIo};

pub(super) fn take(extensions: &mut Extensions) -> Option<Upgrade> {
    let upgrade = extensions.remove::<OnUpgrade>()?;
    Some(Box::pin(async move {
        let upgraded = upgrade.await?;
        Ok(Box::new(HyperIo::new(upgraded)) as BoxIo)
    }))
}
