//! The bytes of arguments and results that are held, and whose they are.

use odeon_protocol::{Code, Fault};
use odeon_rmi::{Account, Answer, NewRequest, Outcome, RequestLimits, Requests};

use crate::fixture::{accept, new};

fn held_up_to(max_bytes_total: usize) -> Requests {
    Requests::new(RequestLimits {
        max_bytes_total,
        ..RequestLimits::default()
    })
}

const KIB: usize = 1024;

#[tokio::test]
async fn arguments_are_held_up_to_the_limit_of_bytes_and_until_the_end() {
    let requests = held_up_to(10 * KIB);
    let of = |bytes| requests.accept(NewRequest { bytes, ..new() });
    // 4 KiB of each do not count.
    let (ticket, _watcher) = of(14 * KIB).unwrap();
    assert_eq!(requests.held(), 10 * KIB);
    let refused = of(4 * KIB + 1).unwrap_err();
    assert_eq!(refused.code, Code::Overloaded);
    assert!(refused.message.contains("10240"), "{refused}");
    assert_eq!(requests.totals().refused, 1);
    let (_small, _watches) = of(4 * KIB).expect("what is small is always taken");
    ticket.reject(Fault::new(Code::Overloaded, "no room"));
    assert_eq!(requests.held(), 0, "the end gives it back, fetched or not");
    drop(of(14 * KIB).unwrap());
    assert_eq!(requests.held(), 0);
}

#[tokio::test]
async fn results_are_held_until_they_are_fetched_and_dropped_when_there_is_no_room() {
    let requests = held_up_to(10 * KIB);
    let ended = |length: usize| {
        let (ticket, watcher) = accept(&requests);
        ticket.start().unwrap().finish(Outcome::Succeeded(Answer {
            body: vec![0; length],
            ..Answer::default()
        }));
        watcher
    };
    let mut first = ended(14 * KIB);
    assert_eq!(requests.held(), 10 * KIB);
    let lost = ended(4 * KIB + 1).outcome().await.unwrap();
    assert!(matches!(&lost, Outcome::Failed { answer: None, .. }), "{lost:?}");
    assert_eq!(lost.code(), Some(Code::ResultTooLarge));
    assert_eq!(requests.finished()[0].code, Some(Code::ResultTooLarge));
    assert!(ended(4 * KIB).outcome().await.unwrap().code().is_none());
    assert!(first.outcome().await.unwrap().code().is_none());
    assert_eq!(requests.held(), 0);
    drop(ended(14 * KIB));
    assert_eq!(requests.held(), 0, "nobody will fetch it");
}

#[tokio::test]
async fn a_share_of_the_bytes_grows_shrinks_and_is_given_back() {
    let requests = held_up_to(15 * KIB);
    let mut share = requests.account().share();
    share.hold(14 * KIB).unwrap();
    assert_eq!(share.hold(14 * KIB + 1).unwrap_err().code, Code::Overloaded);
    assert_eq!(requests.held(), 10 * KIB, "it holds what it held");
    share.hold(5 * KIB).unwrap();
    assert_eq!(requests.held(), KIB);
    drop(share);
    assert_eq!(requests.held(), 0);
}

#[tokio::test]
async fn a_peer_holds_no_more_than_twice_what_he_leaves_to_the_others() {
    let requests = held_up_to(81 * KIB);
    let greedy = requests.account();
    let of = |bytes, account: &Account| {
        requests.accept(NewRequest {
            bytes: bytes + 4 * KIB,
            account: Some(account.clone()),
            ..new()
        })
    };
    let (ticket, watcher) = of(50 * KIB, &greedy).unwrap();
    let (_queued, _watches) = of(4 * KIB, &greedy).expect("two thirds of it are his");
    let refused = of(2, &greedy).unwrap_err();
    assert_eq!(refused.code, Code::Overloaded);
    assert!(refused.message.contains("left to others"), "{refused}");
    assert!(greedy.share().hold(4 * KIB + 2).is_err(), "messages count too");

    let other = requests.account();
    let (_second, _waits) = of(18 * KIB, &other).expect("two thirds of the rest are for the next");
    assert!(of(2, &other).is_err());
    let (_third, _waits_too) = of(6 * KIB, &requests.account()).expect("there is always some left");

    // A result is held where the arguments were.
    ticket.start().unwrap().finish(Outcome::Succeeded(Answer {
        body: vec![0; 9 * KIB],
        ..Answer::default()
    }));
    assert_eq!(requests.held(), (4 + 18 + 6 + 5) * KIB);
    drop(watcher);
    assert_eq!(requests.held(), (4 + 18 + 6) * KIB);
}

/// Of two shares that fit one after the other only one at a time, never both.
#[test]
fn shares_that_a_peer_takes_at_once_leave_as_much_as_one_after_the_other() {
    let requests = held_up_to(81 * KIB);
    let greedy = requests.account();
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                for _ in 0..50_000 {
                    let mut share = greedy.share();
                    if share.hold(34 * KIB).is_ok() {
                        let held = requests.held();
                        assert!(held <= 54 * KIB, "{held} bytes");
                    }
                }
            });
        }
    });
    assert_eq!(requests.held(), 0);
}

/// The result of a call that was executed is not lost to what was never held.
#[test]
fn a_share_that_is_refused_keeps_no_other_out() {
    let requests = held_up_to(81 * KIB);
    let account = requests.account();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..50_000 {
                assert!(account.share().hold(64 * KIB).is_err());
            }
        });
        for _ in 0..50_000 {
            account.share().hold(14 * KIB).expect("there is room for it");
        }
    });
}
