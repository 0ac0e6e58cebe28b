//! Who is let in first.

use std::sync::{Arc, Mutex};

use odeon_protocol::Fault;
use odeon_runtime::Plugin;
use odeon_tests::runtime::{call, runtime, spec};
use tokio::task::JoinSet;

use crate::flight::{Flight, eventually};

/// Enforced by `Place::entered`: whoever comes in wakes nobody, who would find no
/// room and wait again behind all others.
#[tokio::test]
async fn whoever_waits_comes_in_in_the_order_of_arrival() {
    const COUNT: usize = 6;
    let runtime = runtime();
    let plugin = spec().resident().load(&runtime, "guest-spin").await;
    let mut first = Flight::take_off(&plugin, "wait.sleep-forever").await;
    let ended = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = JoinSet::new();
    for number in 0..COUNT {
        waiting.spawn(in_turn(plugin.clone(), number, ended.clone()));
        eventually("it waits", || plugin.stats().waiting == number + 1).await;
    }
    first.interrupt.raise(odeon_runtime::Reason::CallerGone);
    first.land().await.unwrap_err();
    while let Some(joined) = waiting.join_next().await {
        joined.unwrap().unwrap();
    }
    assert_eq!(*ended.lock().unwrap(), Vec::from_iter(0..COUNT));
}

/// Sleeps in the guest, and then says its number.
async fn in_turn(plugin: Plugin, number: usize, ended: Arc<Mutex<Vec<usize>>>) -> Result<(), Fault> {
    call(&plugin, "wait.sleep(20)").await?;
    ended.lock().unwrap().push(number);
    Ok(())
}

/// Enforced by `Gate::enter`: whoever comes while somebody leaves does not take the
/// room of one who has waited.
#[tokio::test]
async fn whoever_comes_again_waits_behind_all_others() {
    const CALLERS: usize = 3;
    const ROUNDS: usize = 4;
    let runtime = runtime();
    let plugin = spec().resident().load(&runtime, "guest-spin").await;
    let mut first = Flight::take_off(&plugin, "wait.sleep-forever").await;
    let ended = Arc::new(Mutex::new(Vec::new()));
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let (called, ended) = (plugin.clone(), ended.clone());
        callers.spawn(async move {
            for _ in 0..ROUNDS {
                // The next call comes as soon as this one has left.
                in_turn(called.clone(), number, ended.clone()).await.unwrap();
            }
        });
        let waiting = number + 1;
        eventually("it waits", || plugin.stats().waiting == waiting).await;
    }
    first.interrupt.raise(odeon_runtime::Reason::CallerGone);
    first.land().await.unwrap_err();
    while let Some(joined) = callers.join_next().await {
        joined.unwrap();
    }
    let rounds: Vec<usize> = (0..ROUNDS).flat_map(|_| 0..CALLERS).collect();
    assert_eq!(*ended.lock().unwrap(), rounds);
}
