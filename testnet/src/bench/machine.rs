//! What the machine can do at most: to set a chain's figures against.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;

use crate::stats::per_second;

/// Time for each measurement.
const TIME: Duration = Duration::from_secs(2);
/// Bytes of a message whose signature is checked, and of a write that is synced.
const MESSAGE_BYTES: usize = 512;
const WRITE_BYTES: usize = 4096;

/// The machine's own limits.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Strict ed25519 verifications of 512-byte messages a second, on all of them together.
    pub verifications_per_s: f64,
    /// Appends of 4 KiB, each synced to the disk, a second, one after another.
    pub fsyncs_per_s: f64,
}

impl Machine {
    /// Measures, for some seconds; `dir` is where the network's data will lie.
    ///
    /// # Errors
    /// When nothing can be written in `dir`.
    pub fn measure(dir: &Path) -> Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { cores, verifications_per_s: verifications(cores), fsyncs_per_s: fsyncs(dir)? })
    }

    /// The better of two measurements: what else runs on a machine can only make one worse.
    pub fn best(self, other: Self) -> Self {
        Self {
            cores: self.cores,
            verifications_per_s: self.verifications_per_s.max(other.verifications_per_s),
            fsyncs_per_s: self.fsyncs_per_s.max(other.fsyncs_per_s),
        }
    }
}

fn verifications(cores: usize) -> f64 {
    let work = || {
        let key = SigningKey::from_bytes(&[7; 32]);
        let message = [1; MESSAGE_BYTES];
        let (signature, public) = (key.sign(&message), key.verifying_key());
        let start = Instant::now();
        let mut done = 0;
        while start.elapsed() < TIME {
            public.verify_strict(&message, &signature).expect("a signature of our own");
            done += 1;
        }
        per_second(done, start.elapsed())
    };
    let threads: Vec<_> = (0..cores).map(|_| thread::spawn(work)).collect();
    let rates = threads.into_iter().map(|thread| thread.join().expect("verifying does not panic"));
    rates.sum::<f64>().round()
}

fn fsyncs(dir: &Path) -> Result<f64> {
    let path = dir.join("fsyncs");
    let mut file = File::create(&path)?;
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < TIME {
        file.write_all(&[0; WRITE_BYTES])?;
        file.sync_data()?;
        done += 1;
    }
    let rate = per_second(done, start.elapsed());
    std::fs::remove_file(path)?;
    Ok(rate.round())
}
