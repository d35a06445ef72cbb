//! What a key's role allows at the most.

use crate::modules::Sender;
use crate::modules::consortium::{KeyRole, UserRole};
use crate::modules::rights::Right;

/// The highest right that a role uses, whatever is granted; none when it has to do with no records.
pub(super) fn ceiling(who: &Sender) -> Option<Right> {
    match (who.role, who.user.map(|user| user.role)) {
        (KeyRole::Admin, _) | (_, Some(UserRole::Admin)) => Some(Right::Admin),
        (KeyRole::Node, _) | (_, Some(UserRole::Writer)) => Some(Right::Write),
        (_, Some(UserRole::Reader | UserRole::Auditor)) => Some(Right::Read),
        (_, Some(UserRole::Operator) | None) => None,
    }
}

/// The right that a role has in its own organisation's data sets, whatever is granted there.
pub(super) fn standing(who: &Sender) -> Option<Right> {
    match (who.role, who.user.map(|user| user.role)) {
        (KeyRole::Admin, _) | (_, Some(UserRole::Admin)) => Some(Right::Admin),
        (_, Some(UserRole::Auditor)) => Some(Right::Read),
        _ => None,
    }
}

/// Whether a role reads whole blocks, with everything that is in them, at its organisation's nodes.
pub(super) fn reads_blocks(who: &Sender) -> bool {
    who.role == KeyRole::Node || standing(who).is_some()
}
