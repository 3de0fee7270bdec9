//! The handlers of a route, by subprotocol.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    future::Future,
    hash::BuildHasher,
};

use futures_core::future::BoxFuture;

use super::{HandlerOutput, task::Job};
use crate::{socket::WebSocket, sync::Exclusive};

/// A handler of any type: creates the task of a connection.
pub(super) struct Handler(Exclusive<Box<dyn FnOnce(Job) -> BoxFuture<'static, ()> + Send>>);

impl Handler {
    pub(super) fn new<H, Fut>(handler: H) -> Self
    where
        H: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output: HandlerOutput> + Send + 'static,
    {
        let task = move |job: Job| job.into_task(handler);
        Self(Exclusive::new(Box::new(task)))
    }

    pub(super) fn into_task(self, job: Job) -> BoxFuture<'static, ()> {
        self.0.into_inner()(job)
    }
}

/// Subprotocols with their handlers, for
/// [`WebSocketUpgrade::on_protocols`](crate::WebSocketUpgrade::on_protocols).
///
/// An array, a `Vec` or an `Option` of pairs keeps its order, the preferred one first. A `BTreeMap`
/// or a `HashMap` is sorted by name, so that the choice is the same in every run. The trait is
/// sealed.
pub trait ProtocolHandlers<H>: sealed::Pairs<H> {}

impl<T: sealed::Pairs<H>, H> ProtocolHandlers<H> for T {}

pub(super) mod sealed {
    use super::Cow;

    #[expect(unnameable_types, reason = "what seals a trait is not to be named")]
    pub trait Pairs<H> {
        /// Returns the pairs, the preferred one first.
        fn into_pairs(self) -> Vec<(Cow<'static, str>, H)>;
    }
}

impl<N: Into<Cow<'static, str>>, H> sealed::Pairs<H> for Vec<(N, H)> {
    fn into_pairs(self) -> Vec<(Cow<'static, str>, H)> {
        self.into_iter()
            .map(|(name, handler)| (name.into(), handler))
            .collect()
    }
}

impl<N: Into<Cow<'static, str>>, H, const LEN: usize> sealed::Pairs<H> for [(N, H); LEN] {
    fn into_pairs(self) -> Vec<(Cow<'static, str>, H)> {
        Vec::from(self).into_pairs()
    }
}

impl<N: Into<Cow<'static, str>>, H> sealed::Pairs<H> for Option<(N, H)> {
    fn into_pairs(self) -> Vec<(Cow<'static, str>, H)> {
        Vec::from_iter(self).into_pairs()
    }
}

impl<N: Into<Cow<'static, str>>, H> sealed::Pairs<H> for BTreeMap<N, H> {
    fn into_pairs(self) -> Vec<(Cow<'static, str>, H)> {
        Vec::from_iter(self).into_pairs()
    }
}

impl<N, H, S> sealed::Pairs<H> for HashMap<N, H, S>
where
    N: Into<Cow<'static, str>>,
    S: BuildHasher,
{
    fn into_pairs(self) -> Vec<(Cow<'static, str>, H)> {
        let mut pairs = Vec::from_iter(self).into_pairs();
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        pairs
    }
}
