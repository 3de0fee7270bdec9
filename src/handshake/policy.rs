//! The settings of a server that decide which handshakes it accepts.

use super::{
    ProtocolChoice,
    origin::{AllowedOrigins, RequestOrigin},
    protocols::Supported,
};
use crate::config::ConfigError;

/// Supported subprotocols and allowed origins. The default accepts every client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) protocols: Supported,
    pub(crate) require_protocol: bool,
    /// `None` allows every origin.
    pub(crate) allowed_origins: Option<AllowedOrigins>,
    pub(crate) allow_missing_origin: bool,
}

impl Policy {
    /// Returns an error for a setting that cannot work, however the subprotocol is chosen.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.protocols.check()?;
        match self.allowed_origins.as_ref().map(AllowedOrigins::check) {
            Some(Err(ConfigError::NoOrigins)) if self.allow_missing_origin => Ok(()),
            checked => checked.unwrap_or(Ok(())),
        }
    }

    /// Returns an error if a subprotocol is required but nothing can choose one.
    pub(crate) fn check_choice(&self, choice: &ProtocolChoice) -> Result<(), ConfigError> {
        let chooses_none = matches!(choice, ProtocolChoice::List) && self.protocols.is_empty();
        if self.require_protocol && chooses_none {
            return Err(ConfigError::NoProtocols);
        }
        Ok(())
    }

    /// Returns whether a request from `origin` may connect (RFC 6455, section 10.2).
    pub(super) fn allows(&self, origin: &RequestOrigin) -> bool {
        match (&self.allowed_origins, origin) {
            (None, _) => true,
            (Some(_), RequestOrigin::Missing) => self.allow_missing_origin,
            (Some(_), RequestOrigin::Invalid) => false,
            (Some(allowed), RequestOrigin::One(origin)) => allowed.contains(origin),
        }
    }
}
