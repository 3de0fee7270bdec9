//! The body of the responses that an extractor returns.

/// A body that a response can have: any type that implements `Default`.
///
/// The trait is `Default` under a name of this crate. It lets the compiler say what to do when a
/// handler of axum or Volo uses the `WebSocketUpgrade` of the crate's root.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the body of a response of `WebSocketUpgrade`",
    label = "in axum use `anyws::axum::WebSocketUpgrade`, in Volo `anyws::volo::WebSocketUpgrade`",
    note = "elsewhere name the body of your server, which implements `Default`: \
            `WebSocketUpgrade<String>`"
)]
pub trait ResponseBody: Default {}

// Without this attribute, the compiler asks for `Default` and does not say where.
#[diagnostic::do_not_recommend]
impl<B: Default> ResponseBody for B {}

/// The body of a [`WebSocketUpgrade`](crate::WebSocketUpgrade) that names no body.
///
/// The type has no values and cannot be used. It only leads to a compiler error that says what to
/// write.
#[derive(Debug)]
#[non_exhaustive]
pub enum UnknownBody {}
