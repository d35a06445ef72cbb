//! What clients of registers did and heard, and whether some order of it explains all of it.
//!
//! A register is a record: a value with a version. The property is linearizability: each operation
//! takes effect at one moment between its invocation and its return, and the effects follow each
//! other as on one register. What is checked is each register by itself, since a history is
//! linearizable if and only if that of each object is (Herlihy and Wing, 1990). The check is that of
//! Wing and Gong with Lowe's memory of what was tried (`todc-utils`).
//!
//! An operation whose client heard nothing in time is open: nobody knows whether it took effect. One
//! that turns out later, by its receipt, to have taken effect returns then; one that has had none is
//! left out, as the definition allows for open operations.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History as Actions};
use todc_utils::specifications::Specification;

/// What a register has: version 0 before it is first written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Content {
    /// How often it was written.
    pub version: u64,
    /// What was written last.
    pub value: u64,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The content.
    Get,
    /// Write a value, if the version is the expected one where one is given.
    Put {
        /// The value.
        value: u64,
        /// The version it must have; any when none.
        expected: Option<u64>,
    },
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The content.
    Content(Content),
    /// It was written, and has this version now.
    Written(u64),
    /// It had another version than was expected.
    OtherVersion,
}

/// An operation with its outcome: what the checker applies.
#[derive(Clone, Copy, Debug)]
struct Step {
    call: Call,
    answer: Answer,
}

/// The register that all must agree with.
struct Register;

impl Specification for Register {
    type State = Content;
    type Operation = Step;

    fn init() -> Content {
        Content::default()
    }

    fn apply(step: &Step, before: &Content) -> (bool, Content) {
        let as_expected = |expected: Option<u64>| expected.is_none_or(|it| it == before.version);
        match (step.call, step.answer) {
            (Call::Get, Answer::Content(found)) => (found == *before, *before),
            (Call::Put { value, expected }, Answer::Written(version)) => {
                let is_next = as_expected(expected) && version == before.version + 1;
                (is_next, if is_next { Content { version, value } } else { *before })
            }
            (Call::Put { expected, .. }, Answer::OtherVersion) => (!as_expected(expected), *before),
            // An answer to another question.
            (Call::Get, _) | (_, Answer::Content(_)) => (false, *before),
        }
    }
}

/// Number of an operation in a [`History`].
pub type OperationId = usize;

#[derive(Clone, Debug)]
struct Operation {
    register: String,
    client: usize,
    call: Call,
    invoked: usize,
    /// When it returned and what; none while it is open.
    returned: Option<(usize, Answer)>,
}

/// Operations of all clients. Moments are numbered in the order in which they were recorded, under
/// one lock: what returned before another was invoked has the lower number.
#[derive(Clone, Debug, Default)]
pub struct History {
    operations: Vec<Operation>,
    moments: usize,
}

impl History {
    /// A client is about to ask.
    pub fn invoked(&mut self, register: &str, client: usize, call: Call) -> OperationId {
        self.moments += 1;
        let (register, invoked) = (register.to_owned(), self.moments);
        self.operations.push(Operation { register, client, call, invoked, returned: None });
        self.operations.len() - 1
    }

    /// A client has heard.
    pub fn returned(&mut self, id: OperationId, answer: Answer) {
        self.moments += 1;
        self.operations[id].returned = Some((self.moments, answer));
    }

    /// Operations that have returned, and those that are open.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let returned = self.operations.iter().filter(|op| op.returned.is_some()).count();
        (returned, self.operations.len() - returned)
    }

    /// Checks that the operations that have returned are linearizable; the number of registers.
    ///
    /// # Errors
    /// When those on one register are not, with all of them.
    pub fn check(&self) -> Result<usize> {
        let mut registers: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
        for operation in &self.operations {
            registers.entry(&operation.register).or_default().push(operation);
        }
        for (register, operations) in &registers {
            if !is_linearizable(operations) {
                let lines: Vec<String> = operations.iter().map(ToString::to_string).collect();
                bail!(
                    "no order explains the operations on register {register}; as they were invoked \
                     (moments of invocation and return, client, operation):\n{}",
                    lines.join("\n")
                );
            }
        }
        Ok(registers.len())
    }
}

fn is_linearizable(operations: &[&Operation]) -> bool {
    let mut actions = Vec::new();
    // Each operation is a process of its own: a client goes on while an earlier one is open.
    for (process, operation) in operations.iter().enumerate() {
        let Some((returned, answer)) = operation.returned else { continue };
        let step = Step { call: operation.call, answer };
        actions.push((operation.invoked, (process, Action::Call(step))));
        actions.push((returned, (process, Action::Response(step))));
    }
    actions.sort_unstable_by_key(|(moment, _)| *moment);
    let actions: Vec<_> = actions.into_iter().map(|(_, action)| action).collect();
    actions.is_empty() || WGLChecker::<Register>::is_linearizable(Actions::from_actions(actions))
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, call, invoked, .. } = self;
        let returned = self.returned.map_or("-".to_owned(), |(moment, _)| moment.to_string());
        write!(f, "{invoked:6} {returned:>6}  {client}  ")?;
        match call {
            Call::Get => f.write_str("get")?,
            Call::Put { value, expected: None } => write!(f, "put {value}")?,
            Call::Put { value, expected: Some(it) } => write!(f, "put {value} at version {it}")?,
        }
        match self.returned {
            Some((_, Answer::Content(Content { version, value }))) => {
                write!(f, ": {value}, version {version}")
            }
            Some((_, Answer::Written(version))) => write!(f, ": version {version}"),
            Some((_, Answer::OtherVersion)) => f.write_str(": other version"),
            None => f.write_str(": open"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Answer::{OtherVersion, Written};
    use super::*;

    const ANY: Option<u64> = None;

    fn put(value: u64, expected: Option<u64>) -> Call {
        Call::Put { value, expected }
    }

    fn content(version: u64, value: u64) -> Answer {
        Answer::Content(Content { version, value })
    }

    /// Operations one after the other.
    fn in_turn(operations: &[(Call, Answer)]) -> History {
        let mut history = History::default();
        for (call, answer) in operations {
            let id = history.invoked("r", 0, *call);
            history.returned(id, *answer);
        }
        history
    }

    #[test]
    fn what_is_done_in_turn_must_fit_as_it_is() {
        let get = Call::Get;
        let cases: [(&str, bool, &[(Call, Answer)]); 9] = [
            ("nothing was written", true, &[(get, content(0, 0))]),
            ("what was written is read", true, &[(put(5, ANY), Written(1)), (get, content(1, 5))]),
            ("by version", true, &[(put(5, Some(0)), Written(1)), (put(6, Some(0)), OtherVersion)]),
            ("a stale read", false, &[(put(5, ANY), Written(1)), (get, content(0, 0))]),
            (
                "a value that nobody wrote",
                false,
                &[(put(5, ANY), Written(1)), (get, content(1, 6))],
            ),
            ("a lost write", false, &[(put(5, ANY), Written(1)), (put(6, ANY), Written(1))]),
            ("a write done twice", false, &[(put(5, ANY), Written(1)), (get, content(2, 5))]),
            (
                "two writers at one version",
                false,
                &[(put(5, Some(0)), Written(1)), (put(6, Some(0)), Written(2))],
            ),
            ("refused without a reason", false, &[(put(5, Some(0)), OtherVersion)]),
        ];
        for (name, linearizable, operations) in cases {
            assert_eq!(in_turn(operations).check().is_ok(), linearizable, "{name}");
        }
    }

    #[test]
    fn what_is_done_at_one_time_may_have_any_order() {
        let mut history = History::default();
        let first = history.invoked("r", 0, put(5, ANY));
        let second = history.invoked("r", 1, put(6, ANY));
        let read = history.invoked("r", 2, Call::Get);
        history.returned(read, content(1, 6));
        history.returned(first, Written(2));
        history.returned(second, Written(1));
        assert_eq!(history.check().unwrap(), 1);

        // Reads that follow each other must not go back.
        let mut history = History::default();
        let write = history.invoked("r", 0, put(5, ANY));
        for answer in [content(1, 5), content(0, 0)] {
            let read = history.invoked("r", 1, Call::Get);
            history.returned(read, answer);
        }
        history.returned(write, Written(1));
        let error = history.check().unwrap_err().to_string();
        assert!(error.contains("register r") && error.contains("put 5: version 1"), "{error}");
    }

    #[test]
    fn an_open_operation_may_take_effect_late_or_never_but_not_before_it_was_invoked() {
        // Its client heard nothing, and asked for its receipt at the end.
        let open = |late: Option<u64>, reads: &[Answer]| {
            let mut history = in_turn(&[(put(4, ANY), Written(1))]);
            let open = history.invoked("r", 0, put(5, Some(1)));
            for read in reads {
                let id = history.invoked("r", 1, Call::Get);
                history.returned(id, *read);
            }
            if let Some(version) = late {
                history.returned(open, Written(version));
            }
            history.check().is_ok()
        };
        assert!(open(None, &[content(1, 4), content(1, 4)]));
        assert!(open(Some(2), &[content(1, 4), content(2, 5)]));
        assert!(open(Some(2), &[content(1, 4), content(1, 4)]));
        assert!(!open(Some(2), &[content(2, 5), content(1, 4)]));
        assert!(!open(None, &[content(1, 4), content(2, 5)]), "an effect without a receipt");

        let mut early = in_turn(&[(Call::Get, content(1, 5))]);
        let id = early.invoked("r", 0, put(5, ANY));
        early.returned(id, Written(1));
        assert!(early.check().is_err());
    }

    #[test]
    fn registers_do_not_mix() {
        let mut history = in_turn(&[(put(5, ANY), Written(1))]);
        let other = history.invoked("s", 0, Call::Get);
        history.returned(other, content(0, 0));
        history.invoked("s", 0, put(6, ANY));
        assert_eq!(history.check().unwrap(), 2);
        assert_eq!(history.counts(), (2, 1));
    }

    #[test]
    fn a_verdict_on_hundreds_of_operations_with_many_open_comes_at_once() {
        // Eight clients write at one time, again and again; every tenth hears nothing until the end.
        let forged = |forge: bool| {
            let mut history = History::default();
            let mut open = Vec::new();
            for version in (1..=400).step_by(8) {
                let ids = (0..8).map(|i| history.invoked("r", i, put(version + i as u64, ANY)));
                let ids: Vec<OperationId> = ids.collect();
                for (id, version) in ids.into_iter().zip(version..) {
                    if version % 10 == 0 {
                        open.push((id, version));
                    } else {
                        history.returned(id, Written(version));
                    }
                }
                let read = history.invoked("r", 9, Call::Get);
                let found = version + 7 - if forge && version > 300 { 8 } else { 0 };
                history.returned(read, content(found, found));
            }
            for (id, version) in open {
                history.returned(id, Written(version));
            }
            history.check().is_ok()
        };
        assert!(forged(false));
        assert!(!forged(true));
    }
}
