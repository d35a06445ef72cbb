//! `tandem start`.

use std::time::Duration;

use tandem_node::home::Home;
use tandem_node::run::{self, Options};
use tokio::runtime::{Builder, Runtime};

use crate::args::{Global, Start};
use crate::input;

/// Time that what cannot be stopped, such as the look-up of a name, has to end when all else has.
pub const END_TIMEOUT: Duration = Duration::from_secs(1);

pub fn start(global: &Global, args: &Start) -> anyhow::Result<()> {
    let home = Home::new(&global.home);
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let passphrases = input::passphrases(global)?;
    let options = Options { genesis_hash: args.genesis_hash, trust: args.trust, passphrases };
    Ok(run_to_end(runtime, END_TIMEOUT, run::run(&home, options))?)
}

/// Runs the future to its end, and then does not wait long for what it leaves behind: dropping the
/// runtime would, for as long as a name server does not answer.
pub fn run_to_end<T>(
    runtime: Runtime,
    end_timeout: Duration,
    future: impl Future<Output = T>,
) -> T {
    let output = runtime.block_on(future);
    runtime.shutdown_timeout(end_timeout);
    output
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_cannot_be_stopped_does_not_hold_up_the_end() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (gate, closed) = mpsc::channel::<()>();
        let (started, starts) = tokio::sync::oneshot::channel();
        let output = run_to_end(runtime, Duration::from_millis(1), async {
            tokio::task::spawn_blocking(move || {
                started.send(()).unwrap();
                // Until the gate is dropped, at the end of this test.
                let _ = closed.recv();
            });
            starts.await.unwrap();
            7
        });
        assert_eq!(output, 7);
        drop(gate);
    }
}
