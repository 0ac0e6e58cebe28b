//! Every way to call says which generation answered.

use odeon::{Args, CallOptions, ReplaceRequest, Source};
use odeon_tests::guests;

use crate::host::{ephemeral, load};

/// Enforced by `Shared::settle`, and for Rust types by
/// `TypedHandle::call_with_generation`.
#[tokio::test(flavor = "multi_thread")]
async fn every_reply_says_which_generation_gave_it() {
    const ADD: &str = "echo/echo.add";
    let host = ephemeral();
    load(&host, "guest-echo", "echo").await;
    let handle = host.method(ADD).unwrap();
    let typed = host.typed::<(u32, u32), (u32,)>(ADD).unwrap();
    let args = [1_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat();
    for number in 1..=3 {
        let encoded = host.call_encoded(ADD, &args).unwrap();
        assert_eq!((encoded.generation.0, encoded.bytes.first()), (number, Some(&3)));
        assert_eq!(handle.call(&args).unwrap().generation.0, number);
        let by_name = host.call(ADD, Args::Wave("1, 2"), CallOptions::default());
        assert_eq!(by_name.await.unwrap().generation.0, number);
        let by_handle = handle.call_async(Args::Wave("1, 2"), CallOptions::default());
        assert_eq!(by_handle.await.unwrap().generation.0, number);
        let ((sum,), generation) = typed.call_with_generation((1, 2)).unwrap();
        assert_eq!((sum, generation.0), (3, number));
        assert_eq!(typed.call((1, 2)).unwrap(), (3,));
        let request = ReplaceRequest {
            allow_unsigned: true,
            ..ReplaceRequest::new(
                "echo".parse().unwrap(),
                Source::Component(guests::component("guest-echo")),
            )
        };
        host.replace(request).await.unwrap();
    }
}
