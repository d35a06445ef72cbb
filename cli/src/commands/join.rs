//! `tandem join`.

use serde_json::json;
use tandem_node::config::Config;
use tandem_node::home::Home;
use tandem_node::join::{Plan, Progress, Token, join as join_chain};

use super::start::{END_TIMEOUT, run_to_end, start};
use crate::args::node::Join;
use crate::args::{Global, Start};
use crate::exit::Usage;
use crate::{input, output};

pub fn join(global: &Global, args: Join) -> anyhow::Result<()> {
    let token =
        Token::parse(&input::text(&args.token)?).map_err(|error| Usage(error.to_string()))?;
    let config = config(&args)?;
    let home = Home::new(&global.home);
    let (genesis, trust) = (token.genesis, token.trust);
    let plan = Plan {
        token,
        home: home.clone(),
        config,
        passphrases: input::passphrases(global)?,
        encrypt: args.encrypt,
        patience: args.timeout,
    };
    if args.address.is_empty() && !home.config_path().exists() && !global.json {
        eprintln!(
            "no ADDRESS is given, so that no node dials this one: it has to reach the others, and is \
             linked with nobody who cannot be reached either"
        );
    }
    let tell = |progress: &Progress| {
        if !global.json {
            eprintln!("{progress}");
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let joined = run_to_end(runtime, END_TIMEOUT, join_chain(plan, tell))?;
    if args.no_start {
        let answer = json!({
            "home": home.root(),
            "public_key": joined.node,
            "organization": joined.org,
            "genesis_hash": joined.genesis,
            "registered_by": joined.height.to_string(),
        });
        return output::show(global, &answer, |_| {
            output::facts(&[
                ("home", home.root().display().to_string()),
                ("node key", joined.node.to_string()),
                ("organization", joined.org.to_string()),
                ("genesis", joined.genesis.to_string()),
                ("registered", format!("by height {}", joined.height)),
            ])
        });
    }
    if !global.json {
        eprintln!("starting; from now on: tandem start --home {}", home.root().display());
    }
    start(global, &Start { genesis_hash: Some(genesis), trust })
}

/// The node's configuration: the defaults, but for what was asked for.
fn config(args: &Join) -> anyhow::Result<Config> {
    let mut config = Config::default();
    config.p2p.addresses.clone_from(&args.address);
    if let Some(listen) = &args.listen {
        config.p2p.listen.clone_from(listen);
    } else if let Some((address, port)) =
        args.address.first().and_then(|at| at.rsplit_once("/tcp/"))
    {
        // Another form than that of nodes is refused when it is checked.
        let any = if is_ip6(address) { "/ip6/::" } else { "/ip4/0.0.0.0" };
        config.p2p.listen = format!("{any}/tcp/{port}");
    }
    if let Some(listen) = args.rpc_listen {
        config.rpc.listen = listen;
    }
    if let Some(levels) = &args.log {
        config.log.level.clone_from(levels);
    }
    config.validate()?;
    Ok(config)
}

fn is_ip6(address: &str) -> bool {
    ["/ip6/", "/dns6/"].iter().any(|start| address.starts_with(start))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn parse(line: &str) -> anyhow::Result<Config> {
        let words = ["tandem", "join", "TOKEN"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words)?.command {
            Command::Join(join) => config(&join),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_node_listens_where_the_others_reach_it() {
        let config = parse("/dns4/node.example.org/tcp/4001 /ip4/192.0.2.1/tcp/4002").unwrap();
        assert_eq!(config.p2p.listen, "/ip4/0.0.0.0/tcp/4001");
        assert_eq!(config.p2p.addresses.len(), 2);
        let behind = parse("/ip4/192.0.2.1/tcp/4001 --listen /ip4/10.0.0.1/tcp/9").unwrap();
        assert_eq!(behind.p2p.listen, "/ip4/10.0.0.1/tcp/9");
        for address in ["/ip6/2001:db8::1/tcp/4001", "/dns6/node.example.org/tcp/4001"] {
            assert_eq!(parse(address).unwrap().p2p.listen, "/ip6/::/tcp/4001");
        }
        assert_eq!(parse("").unwrap(), Config::default());
        assert!(parse("192.0.2.1:4001").unwrap_err().to_string().contains("/tcp/PORT"));
    }
}
