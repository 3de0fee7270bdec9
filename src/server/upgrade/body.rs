//! The body of the responses that an extractor makes.

/// A body that a response can be made with: any type that implements `Default`.
///
/// It is `Default` under a name of this crate, so that the compiler can say what to do where a
/// handler of axum or Volo takes the `WebSocketUpgrade` of the crate's root.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no body that `WebSocketUpgrade` can make a response with",
    label = "in axum use `anyws::axum::WebSocketUpgrade`, in Volo `anyws::volo::WebSocketUpgrade`",
    note = "elsewhere name the body of your server, which implements `Default`: \
            `WebSocketUpgrade<String>`"
)]
pub trait ResponseBody: Default {}

// Otherwise the compiler asks for `Default`, and does not say where.
#[diagnostic::do_not_recommend]
impl<B: Default> ResponseBody for B {}

/// The body of a [`WebSocketUpgrade`](crate::WebSocketUpgrade) that does not name any. There is no
/// such body: it only leads to an error of the compiler that says what to write.
#[derive(Debug)]
#[non_exhaustive]
pub enum UnknownBody {}
