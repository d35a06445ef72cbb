//! `tandem`: a node, and everything its operator says to it.

mod args;
mod commands;
mod exit;
mod input;
mod output;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use commands::start::{END_TIMEOUT, run_to_end};
use exit::Exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => return no_command(&answer),
    };
    let json = cli.global.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let exit = Exit::of(&error);
            output::error(json, &output::text_of(&error), exit);
            exit.into()
        }
    }
}

/// Where the command line names nothing to do: help or version was asked for, or it is wrong.
fn no_command(answer: &clap::Error) -> ExitCode {
    let wrong = answer.use_stderr();
    // Nothing was parsed, so the option is looked for.
    let mut options = std::env::args_os().skip(1).take_while(|argument| argument != "--");
    if wrong && options.any(|argument| argument == "--json") {
        let text = answer.to_string();
        output::error(true, text.trim_start_matches("error: ").trim_end(), Exit::Usage);
    } else {
        // That the reader has gone is no error.
        let _ = answer.print();
    }
    if wrong { Exit::Usage.into() } else { ExitCode::SUCCESS }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let Cli { mut global, command } = cli;
    input::take_permit(&mut global)?;
    match command {
        Command::Init(init) => commands::init::init(&global, init),
        Command::Genesis(genesis) => commands::genesis::genesis(&global, genesis),
        Command::Keys(keys) => commands::keys::keys(&global, keys),
        Command::Start(start) => commands::start::start(&global, &start),
        Command::Version { verbose } => commands::version::version(&global, verbose),
        Command::Completions { shell } => commands::version::completions(&global, shell),
        Command::Snapshot(snapshot) => wait(commands::snapshot::snapshot(&global, snapshot)),
        Command::Doctor => wait(commands::doctor::doctor(&global)),
        Command::Man { dir } => commands::version::man(&global, &dir),
        Command::Top(top) => wait(commands::top::top(&global, &top)),
        Command::Status => wait(commands::status::status(&global)),
        Command::Seats(seats) => wait(commands::seats::seats(&global, &seats)),
        Command::Switches { limit } => wait(commands::seats::switches(&global, limit)),
        Command::Switch(switch) => wait(commands::tx::switch(&global, switch)),
        Command::Node(node) => wait(commands::node::node(&global, node)),
        Command::Join(join) => commands::join::join(&global, join),
        Command::Permit(permit) => wait(commands::permit::permit(&global, permit)),
        Command::Tx(tx) => wait(commands::tx::tx(&global, tx)),
        Command::Org(org) => wait(commands::org::org(&global, org)),
        Command::Db(db) => wait(commands::db::db(&global, db)),
        Command::Decode(decode) => commands::decode::decode(&global, decode),
        Command::Export(export) => commands::export::export(&global, &export),
        Command::Import(import) => commands::import::import(&global, &import),
        Command::Query(query) => wait(commands::query::query(&global, query)),
    }
}

/// Runs what asks a node: one thread is enough.
fn wait(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    run_to_end(runtime, END_TIMEOUT, command)
}
