//! Role tables as all nodes of a network have them.

use anyhow::{Context as _, Result, ensure};
use tandem_chain::roles::RoleTable;
use tandem_chain::types::Height;

use super::machine::has_block;
use crate::rpc::Rpc;

/// Waits until each of some nodes has the block of a height, and gives the role table of that
/// height, which is the same at all of them.
pub async fn table_at_all(nodes: &[Rpc], height: Height) -> Result<RoleTable> {
    let mut found: Option<RoleTable> = None;
    for rpc in nodes {
        has_block(rpc, height).await?;
        let table = rpc.role_table(height).await?;
        if let Some(first) = &found {
            ensure!(*first == table, "{} has another role table of {height}", rpc.name());
        }
        found = Some(table);
    }
    found.context("no node was asked")
}
