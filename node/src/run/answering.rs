//! The threads that answer clients.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Threads of their own for what clients ask, so that a page or a search that takes a processor for long
/// holds up no timer and no message of the consensus.
#[derive(Debug)]
pub(super) struct Answering(Option<Runtime>);

impl Answering {
    /// Starts them.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().enable_all().thread_name("answering").build()?;
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
