//! Extraction: from the head of a request to the extractor.

use std::{net::IpAddr, sync::Arc};

use http::{Request, request};

use super::{ResponseBody, WebSocketUpgrade, settings::Settings, upgrade_io};
use crate::{
    handshake::{ProtocolChoice, Rejection, UpgradeRequest},
    rt::Runtime,
    sync::Exclusive,
    trace::{self, TaskSpan},
    tracker::Tracker,
};

impl<B> WebSocketUpgrade<B> {
    /// Checks the head of a request and takes its connection.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] if the request is not a valid handshake, or if a [`Tracker`] in its
    /// extensions refuses it. [`Rejection::NotUpgradable`] if the server provides no connection, or
    /// if it was taken already. After an error, the connection is left untouched.
    ///
    /// # Panics
    ///
    /// If the key of [`Tracker::max_per_client`] does.
    pub fn from_parts(parts: &mut request::Parts) -> Result<Self, Rejection>
    where
        B: ResponseBody,
    {
        Self::extract(parts, None)
    }

    /// Checks the head of a request of `peer`, and takes its connection.
    pub(crate) fn extract(
        parts: &mut request::Parts,
        peer: Option<IpAddr>,
    ) -> Result<Self, Rejection>
    where
        B: ResponseBody,
    {
        let tracker = parts.extensions.get::<Tracker>().cloned();
        let extracted = Self::extract_with(parts, tracker.as_ref(), peer);
        let extracted = extracted.inspect_err(trace::rejected);
        if let (Some(tracker), Err(rejection)) = (tracker, &extracted)
            && UpgradeRequest::is_asked_for(parts.version, &parts.headers)
        {
            tracker.refused(rejection);
        }
        extracted
    }

    fn extract_with(
        parts: &mut request::Parts,
        tracker: Option<&Tracker>,
        peer: Option<IpAddr>,
    ) -> Result<Self, Rejection>
    where
        B: ResponseBody,
    {
        let upgrade_request = UpgradeRequest::read(&parts.method, parts.version, &parts.headers)?;
        let permit = tracker
            .map(|tracker| tracker.admit(parts, peer))
            .transpose()?;
        let upgrade = upgrade_io::take(&mut parts.extensions).ok_or(Rejection::NotUpgradable)?;
        Ok(Self {
            upgrade_request,
            upgrade: Exclusive::new(upgrade),
            settings: Settings::new(),
            request_runtime: parts.extensions.get::<Arc<dyn Runtime>>().cloned(),
            choice: ProtocolChoice::List,
            handlers: Vec::new(),
            on_failed_upgrade: Exclusive::new(None),
            on_handler_error: Exclusive::new(None),
            permit,
            span: TaskSpan::default(),
            refusal_body: |_| B::default(),
        })
    }

    /// Checks a request and takes its connection; does not touch its body.
    ///
    /// # Errors
    ///
    /// As for [`from_parts`](Self::from_parts).
    pub fn from_request<T>(request: &mut Request<T>) -> Result<Self, Rejection>
    where
        B: ResponseBody,
    {
        let mut parts = Request::new(()).into_parts().0;
        parts.method.clone_from(request.method());
        parts.version = request.version();
        // A tracker may look at all of it.
        parts.uri.clone_from(request.uri());
        std::mem::swap(&mut parts.headers, request.headers_mut());
        std::mem::swap(&mut parts.extensions, request.extensions_mut());
        let upgrade = Self::from_parts(&mut parts);
        std::mem::swap(&mut parts.headers, request.headers_mut());
        std::mem::swap(&mut parts.extensions, request.extensions_mut());
        upgrade
    }
}
