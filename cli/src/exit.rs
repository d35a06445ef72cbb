//! Exit codes: see the help text.

use std::process::ExitCode;

use tandem_node::client::{ClientError, SubmitError};
use tandem_node::join::JoinError;

/// How the program ends. 0 is success, 2 is clap's for wrong use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Something went wrong that has no code of its own.
    Failed = 1,
    /// Wrong use of the command line.
    Usage = 2,
    /// The ledger refused a transaction.
    Refused = 3,
    /// No node answers.
    Unreachable = 4,
    /// No answer or receipt in time.
    Timeout = 5,
}

/// An argument that is not what belongs there, found after the command line was parsed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A receipt with an error.
#[derive(Debug, thiserror::Error)]
#[error("the ledger refused it at height {height}: {log} (code {code})")]
pub struct FailedReceipt {
    /// The block.
    pub height: tandem_chain::types::Height,
    /// The receipt's code.
    pub code: u32,
    /// The receipt's log.
    pub log: String,
}

/// A change that the ledger would refuse; nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("the ledger would refuse it: {0}")]
pub struct RefusedOnPaper(pub String);

impl Exit {
    /// The code for an error.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<Usage>() {
            return Self::Usage;
        }
        if error.is::<FailedReceipt>() || error.is::<RefusedOnPaper>() {
            return Self::Refused;
        }
        if let Some(error) = error.downcast_ref::<SubmitError>() {
            return match error {
                SubmitError::Refused { .. } => Self::Refused,
                SubmitError::Expired { .. } | SubmitError::Timeout { .. } => Self::Timeout,
                SubmitError::Client(error) => Self::of_client(error),
            };
        }
        if let Some(error) = error.downcast_ref::<JoinError>() {
            return match error {
                JoinError::Refused { .. } => Self::Refused,
                JoinError::Unreachable { .. } => Self::Unreachable,
                JoinError::Timeout { .. } => Self::Timeout,
                JoinError::Home(_) | JoinError::OtherHome(_) | JoinError::Genesis { .. } => {
                    Self::Failed
                }
            };
        }
        error.downcast_ref().map_or(Self::Failed, Self::of_client)
    }

    fn of_client(error: &ClientError) -> Self {
        match error {
            ClientError::Unreachable { .. } => Self::Unreachable,
            ClientError::Timeout { .. } => Self::Timeout,
            ClientError::BadUrl { .. } => Self::Usage,
            ClientError::Rpc { .. } | ClientError::BadAnswer { .. } => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::{Context, anyhow};
    use tandem_chain::types::{Hash, Height};

    use super::*;

    #[test]
    fn every_kind_of_error_has_its_code() {
        let (hash, url) = (Hash::EMPTY, String::new);
        let unreachable = || ClientError::Unreachable { url: url(), reason: String::new() };
        let cases = [
            (anyhow!("x"), Exit::Failed),
            (Usage("x".to_owned()).into(), Exit::Usage),
            (ClientError::BadUrl { url: url() }.into(), Exit::Usage),
            (FailedReceipt { height: Height(1), code: 10, log: url() }.into(), Exit::Refused),
            (RefusedOnPaper(url()).into(), Exit::Refused),
            (SubmitError::Refused { hash, code: 2, log: url() }.into(), Exit::Refused),
            (unreachable().into(), Exit::Unreachable),
            (SubmitError::Client(unreachable()).into(), Exit::Unreachable),
            (ClientError::Timeout { url: url(), method: url() }.into(), Exit::Timeout),
            (JoinError::Refused { code: 4, reason: url() }.into(), Exit::Refused),
            (JoinError::Unreachable { reasons: Vec::new() }.into(), Exit::Unreachable),
            (JoinError::Timeout { waited: Duration::ZERO }.into(), Exit::Timeout),
            (JoinError::Genesis { reasons: Vec::new() }.into(), Exit::Failed),
            (JoinError::OtherHome(url()).into(), Exit::Failed),
            (SubmitError::Expired { hash, valid_until: Height(1) }.into(), Exit::Timeout),
            (
                SubmitError::Timeout {
                    hash,
                    valid_until: Height(1),
                    waited: Duration::ZERO,
                    last: None,
                }
                .into(),
                Exit::Timeout,
            ),
        ];
        for (error, exit) in cases {
            assert_eq!(Exit::of(&error), exit, "{error}");
            let with_context = Err::<(), _>(error).context("while doing so").unwrap_err();
            assert_eq!(Exit::of(&with_context), exit, "{with_context:#}");
        }
    }
}
