//! What is drawn.

use std::collections::VecDeque;
use std::time::Duration;

use tandem_node::client::Status;
use tandem_node::rpc::shapes::tandem::{NodeEntry, Seats};

/// Rates that are kept: more than the widest terminal shows.
pub const MAX_RATES: usize = 600;
/// Rates that the figures are the mean of.
const MEAN_OF: usize = 5;

/// Everything that is drawn: plain data.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The nodes that are asked, in the order of the command line.
    pub asked: Vec<Asked>,
    /// The chain as the first of them that answers tells it.
    pub chain: Option<Chain>,
    /// Why that one does not tell it, such as that reading is limited there.
    pub untold: Option<String>,
    /// Since the beginning, the newest at the end.
    pub rates: VecDeque<Rate>,
}

/// A node that is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where.
    pub url: String,
    /// Its answer, or why there is none; nothing before the first.
    pub status: Option<Result<Box<Status>, String>>,
}

/// The chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Time since the newest block was made, by this machine's clock.
    pub age: Option<Duration>,
    /// The seats with their grids.
    pub seats: Seats,
    /// The registered nodes.
    pub nodes: Vec<NodeEntry>,
}

/// Between two questions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Blocks a second.
    pub blocks: f64,
    /// Transactions a second.
    pub txs: f64,
}

impl View {
    /// Adds a rate, and forgets the oldest where there are too many.
    pub fn add_rate(&mut self, rate: Rate) {
        if self.rates.len() == MAX_RATES {
            self.rates.pop_front();
        }
        self.rates.push_back(rate);
    }

    /// The mean of the newest rates; none before the first.
    pub fn mean_rate(&self) -> Option<Rate> {
        let newest: Vec<&Rate> = self.rates.iter().rev().take(MEAN_OF).collect();
        let mean = |of: fn(&Rate) -> f64| {
            newest.iter().map(|rate| of(rate)).sum::<f64>() / newest.len() as f64
        };
        (!newest.is_empty())
            .then(|| Rate { blocks: mean(|rate| rate.blocks), txs: mean(|rate| rate.txs) })
    }
}
