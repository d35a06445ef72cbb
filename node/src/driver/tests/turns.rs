//! What each turn of the loop looks at, whatever comes first.

use std::time::Duration;

use tandem_chain::keys::PublicKey;
use tandem_consensus::verify::Fault;
use tokio::sync::oneshot;

use super::support::{one_seat, prepare};
use crate::driver::executor::Job;
use crate::driver::{Done, Driver, Sources};

/// One turn that something else, which never gets to the replica, comes first in.
async fn turn(driver: &mut Driver, sources: &mut Sources) {
    let fault = Fault::TooMany { what: "frames" };
    driver.done.send(Done::Misbehaved(PublicKey([9; 32]), fault)).await.unwrap();
    let (_stop, mut stopped) = oneshot::channel();
    assert!(driver.turn(sources, &mut stopped).await.unwrap());
}

#[tokio::test]
async fn a_wakeup_that_is_due_is_handled_though_something_else_came_first() {
    let (mut driver, mut sources, hands) = prepare(one_seat()).await;
    driver.begin().unwrap();
    turn(&mut driver, &mut sources).await;
    assert!(hands.jobs.try_take().is_none(), "a block is not due for a minute");
    driver.started -= Duration::from_secs(61);
    turn(&mut driver, &mut sources).await;
    assert!(matches!(hands.jobs.try_take(), Some(Job::Build { .. })));
}

#[tokio::test]
async fn work_is_told_though_something_else_came_first() {
    let (mut driver, mut sources, hands) = prepare(one_seat()).await;
    driver.begin().unwrap();
    hands.submit().await;
    turn(&mut driver, &mut sources).await;
    assert!(matches!(hands.jobs.try_take(), Some(Job::Build { .. })));
}
