//! What handlers return.

use crate::error::BoxError;

/// The output of a handler: `()`, or `Result<(), E>` where `E` converts into a [`BoxError`].
///
/// The output of a handler that loops forever is `!`. `E` may be any type that implements
/// [`Error`](std::error::Error), `Send` and `Sync`, a `String`, a `&str`, or the error of a crate
/// such as anyhow. [`on_upgrade`](crate::WebSocketUpgrade::on_upgrade) describes what an `Err`
/// does. A closure that uses `?` has to name the type at its end:
///
/// ```
/// # use anyws::{WebSocket, WebSocketUpgrade, http::Response};
/// # fn answer(ws: WebSocketUpgrade<String>) -> Response<String> {
/// ws.on_upgrade(async |mut socket: WebSocket| {
///     socket.send("hello".into()).await?;
///     Ok::<_, anyws::Error>(())
/// })
/// # }
/// ```
///
/// The trait is sealed.
#[diagnostic::on_unimplemented(
    message = "a handler returns `()` or `Result<(), E>`, and not `{Self}`",
    label = "this handler returns `{Self}`",
    note = "`E` is anything that converts into `anyws::BoxError`: a type that implements `Error`, \
            `Send` and `Sync`, a `String`, a `&str`"
)]
pub trait HandlerOutput: sealed::Output {}

impl HandlerOutput for () {}

impl<E: Into<BoxError>> HandlerOutput for Result<(), E> {}

/// A handler that loops forever.
impl HandlerOutput for Never {}

pub(super) mod sealed {
    use super::{BoxError, Never};

    #[expect(unnameable_types, reason = "no other crate implements it")]
    pub trait Output {
        /// Whether [`into_result`](Self::into_result) may return an error.
        const MAY_FAIL: bool = false;

        fn into_result(self) -> Result<(), BoxError>
        where
            Self: Sized,
        {
            Ok(())
        }
    }

    impl Output for () {}

    impl<E: Into<BoxError>> Output for Result<(), E> {
        const MAY_FAIL: bool = true;

        fn into_result(self) -> Result<(), BoxError> {
            self.map_err(Into::into)
        }
    }

    impl Output for Never {}
}

/// The type `!`, which has no other stable name outside function signatures.
type Never = <fn() -> ! as Returns>::Output;

trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}
