//! The threads that answer clients.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tracing::debug;

/// By how much these threads give way to those of consensus and network, in steps of `nice`.
const NICER: i32 = 5;

/// Threads of their own for what clients ask, so that a page or a search that takes a processor for long
/// holds up no timer and no message of the consensus.
#[derive(Debug)]
pub(super) struct Answering(Option<Runtime>);

impl Answering {
    /// Starts them.
    ///
    /// # Errors
    /// When the system gives no thread, or does not tell the priority of this one.
    pub(super) fn start() -> io::Result<Self> {
        let priority = getpriority_process(None)? + NICER;
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("answering")
            // On Linux this is of the thread alone.
            .on_thread_start(move || {
                if let Err(error) = setpriority_process(None, priority) {
                    debug!(%error, "a thread that answers clients does not give way");
                }
            })
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Begins a task there.
    pub(super) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.0.as_ref().expect("it is there until it is dropped").spawn(task)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // Reads that have begun end by themselves; who needs the database waits for them.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn its_threads_give_way_to_all_others() {
        let priority = || getpriority_process(None).unwrap();
        let answering = Answering::start().unwrap();
        let of_task = answering.spawn(async move { priority() }).await.unwrap();
        let blocking = async move { tokio::task::spawn_blocking(priority).await.unwrap() };
        let of_read = answering.spawn(blocking).await.unwrap();
        let expected = (priority() + NICER).min(19);
        assert_eq!([of_task, of_read], [expected; 2]);
    }
}
