//! How many requests, how long their texts, how much progress.

use std::sync::Arc;

use odeon_protocol::{Code, MAX_PRINCIPAL, MAX_TARGET};
use odeon_rmi::{NewRequest, ProgressError, RequestLimits, Requests};

use crate::fixture::{accept, new, success, told};

#[tokio::test]
async fn the_table_takes_as_many_as_it_may_and_one_more_when_one_has_ended() {
    let requests = Requests::new(RequestLimits {
        max_open: 3,
        ..RequestLimits::default()
    });
    let mut open: Vec<_> = (0..3).map(|_| accept(&requests)).collect();
    let fault = requests.accept(new()).unwrap_err();
    assert_eq!(fault.code, Code::Overloaded);
    assert!(fault.message.contains('3'), "{fault}");
    assert_eq!((requests.open().len(), requests.totals().refused), (3, 1));
    open.pop();
    drop(accept(&requests));
}

/// Enforced by `within` in `Requests::accept`, and by the total beside it.
#[tokio::test]
async fn texts_are_taken_at_their_limits_and_refused_one_byte_later() {
    let limits = RequestLimits {
        max_user_data: 10,
        max_user_data_total: 25,
        ..RequestLimits::default()
    };
    let requests = Requests::new(limits);
    let text = |length: usize| Arc::<str>::from("t".repeat(length));
    let code = |request: NewRequest| requests.accept(request).map(drop).map_err(|fault| fault.code);
    let too_long = Err(Code::MessageTooLarge);
    assert_eq!(
        code(NewRequest {
            target: text(MAX_TARGET),
            ..new()
        }),
        Ok(())
    );
    assert_eq!(
        code(NewRequest {
            target: text(MAX_TARGET + 1),
            ..new()
        }),
        too_long
    );
    assert_eq!(
        code(NewRequest {
            principal: text(MAX_PRINCIPAL),
            ..new()
        }),
        Ok(())
    );
    assert_eq!(
        code(NewRequest {
            principal: text(MAX_PRINCIPAL + 1),
            ..new()
        }),
        too_long
    );
    let with_data = |length| NewRequest {
        user_data: Some(text(length)),
        ..new()
    };
    assert_eq!(code(with_data(10)), Ok(()));
    assert_eq!(code(with_data(11)), too_long);

    let kept = [
        requests.accept(with_data(10)).unwrap(),
        requests.accept(with_data(10)).unwrap(),
    ];
    assert_eq!(code(with_data(6)), Err(Code::Overloaded), "all of it together");
    assert_eq!(code(with_data(5)), Ok(()));
    drop(kept);
    assert_eq!(code(with_data(10)), Ok(()), "what has ended does not count");
}

#[tokio::test]
async fn progress_is_taken_at_its_limits_and_refused_one_later() {
    let limits = RequestLimits {
        max_details: 4,
        max_progress_per_request: 3,
        ..RequestLimits::default()
    };
    let requests = Requests::new(limits);
    let (ticket, watcher) = accept(&requests);
    let running = ticket.start().unwrap();
    assert_eq!(
        running.progress(1, None, "12345"),
        Err(ProgressError::TooLarge { max: 4 })
    );
    for completed in 1..=3 {
        assert_eq!(running.progress(completed, None, "1234"), Ok(()));
    }
    assert_eq!(
        running.progress(4, None, ""),
        Err(ProgressError::TooMany { max: 3 })
    );
    running.finish(success());
    assert_eq!(told(watcher).await, "accepted, started, progress 3, succeeded");
}
