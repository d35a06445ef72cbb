//! What stored transactions, records and empty blocks take on the disk, by way of compression and
//! encryption.

mod chain;
mod records;

use std::collections::BTreeMap;
use std::iter;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tandem_chain::tx::Tx;
use tandem_node::home::StorageKey;
use tandem_node::storage::{Compression, StorageConfig};

use chain::Chain;
use records::{Sample, TX_BYTES};

use crate::sim::random::Random;

/// Transactions in a block.
const BLOCK_TXS: usize = 200;
/// Column families whose bytes are the transactions' own; those of the others are the records'.
const OF_TRANSACTIONS: [&str; 3] = ["blocks", "results", "index"];

/// Options of `disk`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Transactions, each of 512 bytes, and records, one written by each
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,
    /// Blocks without a transaction, in a database of their own
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    idle: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// One way to keep everything.
struct Way {
    name: &'static str,
    config: StorageConfig,
}

/// What one way takes.
#[derive(Serialize)]
struct Figures {
    way: &'static str,
    bytes_per_transaction: f64,
    bytes_per_record: f64,
    bytes_per_idle_block: f64,
    /// Bytes in tables by column family, of transactions and records.
    families: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Report {
    count: u64,
    idle: u64,
    transaction_bytes: usize,
    raw_json_bytes_per_transaction: f64,
    raw_json_bytes_per_record: f64,
    ways: Vec<Figures>,
}

fn ways() -> Vec<Way> {
    let with = |compression| StorageConfig { compression, ..StorageConfig::default() };
    let key = Some(StorageKey::random());
    let way = |name, config| Way { name, config };
    vec![
        way("uncompressed", with(Some(Compression::None))),
        way("LZ4", with(Some(Compression::Lz4))),
        way("zstd", with(Some(Compression::Zstd))),
        way("zstd, dictionary", with(Some(Compression::ZstdDictionary))),
        way("as nodes do", StorageConfig::default()),
        way("encrypted", StorageConfig { key, ..StorageConfig::default() }),
    ]
}

/// Loads a database in each way, and prints what it takes.
///
/// # Errors
/// When the disk fails, or is full.
pub fn run(options: &Options) -> Result<()> {
    let mut random = Random::new(1);
    let samples: Vec<Sample> =
        (0..options.count).map(|number| records::sample(number, &mut random)).collect();
    let count = options.count as f64;
    let sum = |lengths: &mut dyn Iterator<Item = usize>| lengths.sum::<usize>() as f64 / count;
    let report = Report {
        count: options.count,
        idle: options.idle,
        transaction_bytes: TX_BYTES,
        raw_json_bytes_per_transaction: sum(&mut samples
            .iter()
            .map(|sample| records::tx_json(sample).len())),
        raw_json_bytes_per_record: sum(&mut (0..)
            .zip(&samples)
            .map(|(number, sample)| records::record_json(number, sample).len())),
        ways: ways()
            .iter()
            .map(|way| measure(way, &samples, options.idle))
            .collect::<Result<_>>()?,
    };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", text(&report));
    }
    Ok(())
}

fn measure(way: &Way, samples: &[Sample], idle: u64) -> Result<Figures> {
    let create = iter::once(vec![records::create()]);
    let blocks = samples
        .chunks(BLOCK_TXS)
        .map(|block| block.iter().map(|sample| sample.tx.clone()).collect());
    let families = tables(way, create.chain(blocks))?;
    let empty = tables(way, (0..idle).map(|_| Vec::new()))?;
    let bytes = |families: &BTreeMap<String, u64>, of_transactions: bool, count: f64| {
        let chosen = families
            .iter()
            .filter(|(name, _)| OF_TRANSACTIONS.contains(&name.as_str()) == of_transactions);
        chosen.map(|(_, bytes)| *bytes).sum::<u64>() as f64 / count
    };
    let count = samples.len() as f64;
    Ok(Figures {
        way: way.name,
        bytes_per_transaction: bytes(&families, true, count),
        bytes_per_record: bytes(&families, false, count),
        bytes_per_idle_block: bytes(&empty, true, idle as f64),
        families,
    })
}

/// Bytes in tables by column family of a database with these blocks, after a compaction.
fn tables(way: &Way, blocks: impl Iterator<Item = Vec<Tx>>) -> Result<BTreeMap<String, u64>> {
    let dir = tempfile::tempdir().context("a folder for the database")?;
    let mut chain = Chain::new(&dir.path().join("data"), &way.config)?;
    for txs in blocks {
        chain.commit(txs)?;
    }
    chain.db.compact()?;
    let stats = chain.db.stats()?;
    Ok(stats.into_iter().map(|family| (family.name, family.table_bytes)).collect())
}

fn text(report: &Report) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let families: Vec<&String> =
        report.ways.first().map_or_else(Vec::new, |way| way.families.keys().collect());
    let heads = ["WAY", "B/TRANSACTION", "B/RECORD", "B/IDLE BLOCK"].map(str::to_owned);
    table.set_header(heads.into_iter().chain(families.iter().map(|name| name.to_uppercase())));
    table.add_row([
        "raw JSON".to_owned(),
        format!("{:.0}", report.raw_json_bytes_per_transaction),
        format!("{:.0}", report.raw_json_bytes_per_record),
    ]);
    for way in &report.ways {
        let figures = [
            way.way.to_owned(),
            format!("{:.0}", way.bytes_per_transaction),
            format!("{:.0}", way.bytes_per_record),
            format!("{:.0}", way.bytes_per_idle_block),
        ];
        let bytes = families.iter().map(|name| way.families[*name].to_string());
        table.add_row(figures.into_iter().chain(bytes));
    }
    format!(
        "{} transactions of {} bytes, a record each, and apart from them {} idle blocks; bytes in \
         tables after compaction\n\n{}",
        report.count,
        report.transaction_bytes,
        report.idle,
        table.trim_fmt()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_saves_and_encryption_costs() {
        let mut random = Random::new(1);
        let samples: Vec<Sample> =
            (0..600).map(|number| records::sample(number, &mut random)).collect();
        let figures: Vec<Figures> =
            ways().iter().map(|way| measure(way, &samples, 200).unwrap()).collect();
        let of = |name: &str| figures.iter().find(|figures| figures.way == name).unwrap();
        let (plain, chosen, encrypted) = (of("uncompressed"), of("as nodes do"), of("encrypted"));
        assert!(plain.bytes_per_transaction > TX_BYTES as f64);
        assert!(chosen.bytes_per_transaction < plain.bytes_per_transaction);
        assert!(chosen.bytes_per_record < plain.bytes_per_record);
        assert!(chosen.bytes_per_transaction < encrypted.bytes_per_transaction);
        assert!(of("zstd").families["blocks"] < plain.families["blocks"]);
        assert!(chosen.bytes_per_idle_block < plain.bytes_per_idle_block);
    }
}
