//! Waiting for a condition: the only way in which this crate waits for something to become true.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

/// Time between two looks at a condition.
const POLL: Duration = Duration::from_millis(20);

/// Looks again and again until `probe` is `Ok`, and returns its value.
///
/// An error of `probe` means "not yet", and says what was seen instead.
///
/// # Errors
/// When `deadline` has passed: `what` did not hold, with the last error of `probe`.
pub async fn until<T, P, F>(what: &str, deadline: Duration, mut probe: P) -> Result<T>
where
    P: FnMut() -> F,
    F: Future<Output = Result<T>>,
{
    let start = Instant::now();
    let end = start + deadline;
    let mut seen = anyhow::anyhow!("not looked at even once");
    loop {
        match tokio::time::timeout_at(end, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => seen = error,
            Err(_) => {}
        }
        if Instant::now() + POLL >= end {
            return Err(seen)
                .with_context(|| format!("{what}: does not hold after {deadline:.1?}; last seen"));
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn returns_the_first_value_that_holds() {
        let mut looks = 0;
        let value = until("three looks", Duration::from_secs(1), || {
            looks += 1;
            let result = if looks == 3 { Ok(looks) } else { Err(anyhow::anyhow!("{looks}")) };
            async move { result }
        });
        assert_eq!(value.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn says_what_was_seen_last() {
        let error = until("never", Duration::from_millis(100), || async {
            anyhow::bail!("height 7") as Result<()>
        });
        let text = format!("{:#}", error.await.unwrap_err());
        assert_eq!(text, "never: does not hold after 100.0ms; last seen: height 7");
    }

    #[tokio::test]
    async fn a_probe_that_hangs_does_not_outlast_the_deadline() {
        let hanging = until("hang", Duration::from_millis(100), || async {
            std::future::pending::<()>().await;
            Ok(())
        });
        assert!(hanging.await.is_err());
    }
}
