//! The switch: scenarios of the design's section 6, and the rule against a second way of putting it.

mod barred;
mod oracle;
mod planned;
mod scenarios;
