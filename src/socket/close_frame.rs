//! The argument of `close`.

use crate::message::{CloseCode, CloseFrame, Utf8Bytes};

/// The argument of [`WebSocket::close`](crate::WebSocket::close): `None`, or a code with a reason.
///
/// The code is a [`CloseCode`] or a `u16`; the reason is a `&str`, a `String` or [`Utf8Bytes`]. A
/// [`CloseFrame`] and an `Option<CloseFrame>` are accepted too. The trait is sealed.
///
/// ```
/// use anyws::{CloseCode, WebSocket};
///
/// # async fn example(mut restarting: WebSocket, mut refused: WebSocket, mut done: WebSocket) {
/// let _ = restarting.close((CloseCode::Away, "restart")).await;
/// let _ = refused.close((4001, "the token has expired")).await;
/// let _ = done.close(None).await;
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a Close frame",
    label = "not a Close frame",
    note = "pass `None`, `(CloseCode::Away, \"reason\")`, `(4000, \"reason\")` or a `CloseFrame`"
)]
pub trait IntoCloseFrame: sealed::IntoFrame {}

// Without this attribute, the compiler also names the sealed trait, in two more errors.
#[diagnostic::do_not_recommend]
impl<T: sealed::IntoFrame> IntoCloseFrame for T {}

mod sealed {
    use super::{CloseCode, CloseFrame, Utf8Bytes};

    #[expect(unnameable_types, reason = "what seals a trait is not to be named")]
    pub trait IntoFrame {
        fn into_frame(self) -> Option<CloseFrame>;
    }

    impl IntoFrame for Option<CloseFrame> {
        fn into_frame(self) -> Option<CloseFrame> {
            self
        }
    }

    impl IntoFrame for CloseFrame {
        fn into_frame(self) -> Option<CloseFrame> {
            Some(self)
        }
    }

    impl<C: Into<CloseCode>, R: Into<Utf8Bytes>> IntoFrame for (C, R) {
        fn into_frame(self) -> Option<CloseFrame> {
            let (code, reason) = self;
            Some(CloseFrame {
                code: code.into(),
                reason: reason.into(),
            })
        }
    }
}
