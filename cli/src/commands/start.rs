//! `tandem start`.

use tandem_node::home::Home;
use tandem_node::run::{self, Options};

use crate::args::{Global, Start};

pub fn start(global: &Global, args: &Start) -> anyhow::Result<()> {
    let home = Home::new(&global.home);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let options = Options { genesis_hash: args.genesis_hash };
    Ok(runtime.block_on(run::run(&home, options))?)
}
