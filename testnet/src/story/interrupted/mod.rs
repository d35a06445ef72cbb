//! kill -9 at random moments of each step that takes a while and writes to a disk: the next start goes on
//! with it or begins it again, and the end state is right.
//!
//! Each kind of step is done once undisturbed, to learn when it begins and ends on this machine; then again
//! and again, and killed at a moment that a seed picks. Whether a kill fell within the step is read from what
//! the disk shows after it: those that did are counted.

mod backups;
mod joins;
mod prunes;
mod scene;
mod snapshots;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::types::Height;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Stage;
use super::scene::READY;
use crate::layout::Spec;
use crate::load::Plan;
use crate::process::Process;
use crate::sim::random::Random;
use crate::stats::ms;

use backups::{Backup, PutBack};
use joins::Join;
use prunes::Prune;
use scene::{OBSERVER, Scene};
use snapshots::{Fetch, Restore, Snapshot};

/// Kills of one kind that are aimed at the step, for each that is to fall within: a busy machine is late.
const MAX_TRIES: usize = 8;
/// Of so many kills one comes before the step is seen to begin.
const EARLY_OF: usize = 4;
/// Time between two looks how far a step is.
const LOOK: Duration = Duration::from_millis(1);

/// What a step does when it is told to.
type Doing<'a, T = ()> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// How far a step is, by what it has left on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    Within,
    After,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before it began",
            Self::Within => "within it",
            Self::After => "after its end",
        })
    }
}

/// A kind of step. Its methods are called in their order, again and again.
trait Step {
    /// What it is, for people.
    fn about(&self) -> String;

    /// Makes all ready for it.
    fn ready<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a>;

    /// Begins it, and returns at once.
    fn begin<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a>;

    /// How far it is.
    ///
    /// # Errors
    /// When it has failed.
    fn moment(&self, scene: &Scene<'_>) -> Result<Moment>;

    /// The node that does it; none where a command does.
    fn node(&self) -> Option<&'static str> {
        None
    }

    /// The command that was begun, if any.
    fn command(&mut self) -> Option<&mut Process> {
        None
    }

    /// Kills what does it (SIGKILL), unless that has ended.
    fn kill<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            if let Some(node) = self.node() {
                scene.kill(node).await?;
            }
            if let Some(command) = self.command() {
                command.end().await;
            }
            Ok(())
        })
    }

    /// After a kill at this moment: looks at what is left, starts again, and looks whether the end is right.
    fn again<'a>(&'a mut self, scene: &'a Scene<'_>, moment: Moment) -> Doing<'a>;
}

/// All kinds, by their names in figures.
fn kinds(is_short: bool) -> Vec<(&'static str, Box<dyn Step>)> {
    let mut kinds: Vec<(&'static str, Box<dyn Step>)> = vec![
        // While there are few blocks: who joins follows all of them.
        ("join", Box::<Join>::default()),
        ("snapshot", Box::<Snapshot>::default()),
        ("backup", Box::new(Backup::running())),
        ("backup_standing", Box::new(Backup::standing())),
        ("put_back", Box::<PutBack>::default()),
        ("restore", Box::<Restore>::default()),
    ];
    // They take chains of eleven thousand blocks, and of a thousand. After the second the node has few.
    if !is_short {
        kinds.push(("prune", Box::<Prune>::default()));
        kinds.push(("fetch", Box::<Fetch>::default()));
    }
    kinds
}

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let seed = stage.options.seed.unwrap_or_else(rand::random);
    let times = stage.size(stage.options.times, 50, 8);
    stage.report.does(format!("the moments are those of --seed {seed}"));
    let spec =
        Spec { pairs: false, observers: 1, relays: false, snapshot_interval: 0, ..Spec::default() };
    let watcher = stage.open(spec, &[OBSERVER], &[scene::VICTIM]).await?;
    let table = stage.net().rpc(scene::SOURCE).role_table(Height(3)).await?;
    let records = stage.size(stage.options.txs, 20_000, 4_000);
    let load = stage.load(&watcher, Plan { count: Some(records), ..Plan::saturating(200) }).await?;
    load.offered(READY).await?;
    let mut receipts = load.tracker().receipts();
    let tracker = load.tracker().clone();
    stage.end_load(load).await?;
    receipts.extend(tracker.receipts());
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 100.0, 50.0)).await?;

    let (mut random, mut all) = (Random::new(seed), Tally::default());
    let kinds = kinds(stage.options.short);
    let mut kinds_left = kinds.len();
    for (name, mut step) in kinds {
        let share = times.saturating_sub(all.within).div_ceil(kinds_left);
        kinds_left -= 1;
        let scene = Scene { stage, watcher: &watcher };
        let struck = strike(&scene, &mut *step, share, &mut random).await;
        let (took, tally) =
            struck.with_context(|| format!("{}, with --seed {seed}", step.about()))?;
        stage.report.holds(format!(
            "{}, in {:.0} ms undisturbed: of {} kills {tally}; each time it went on or began \
             again, and the end was right",
            step.about(),
            ms(took),
            tally.kills()
        ));
        stage.report.figure(&format!("{name}_ms"), ms(took).round());
        stage.report.figure(&format!("{name}_kills_within"), tally.within);
        all.add(&tally);
    }
    ensure!(all.within >= times, "{} of {times} kills fell within a step", all.within);

    let tracker = load.tracker().clone();
    stage.end_load(load).await?;
    receipts.extend(tracker.receipts());
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_long_chain(scene::SOURCE, vec![table]).await?;
    chain.has_each_once(&receipts)?;
    stage.report.holds(format!(
        "of {} kills {all}; every transaction stands in the chain once",
        all.kills()
    ));
    let report = &mut stage.report;
    report.figure("seed", seed);
    for (name, count) in [("before", all.before), ("within", all.within), ("after", all.after)] {
        report.figure(&format!("kills_{name}"), count);
    }
    Ok(())
}

/// How many kills fell where.
#[derive(Default)]
struct Tally {
    before: usize,
    within: usize,
    after: usize,
}

impl Tally {
    fn count(&mut self, moment: Moment) {
        match moment {
            Moment::Before => self.before += 1,
            Moment::Within => self.within += 1,
            Moment::After => self.after += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.before += other.before;
        self.within += other.within;
        self.after += other.after;
    }

    fn kills(&self) -> usize {
        self.before + self.within + self.after
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, within, after } = self;
        write!(f, "{before} before, {within} within, {after} after the step")
    }
}

/// Does a step undisturbed, and then with kills until `share` of them fell within it; how long it took
/// undisturbed, and how many fell where. The first kill comes after the step that is undisturbed.
///
/// One kill of four comes at a moment before the step is seen to begin. The others are aimed: they come when it
/// is, and a part of its time later: how long it takes to begin, and to be done, is another thing at each go on
/// a machine with other work, so that times since the start alone would miss a step of a few milliseconds. A kill
/// that came after the end halves the time in which the next come.
async fn strike(
    scene: &Scene<'_>,
    step: &mut dyn Step,
    share: usize,
    random: &mut Random,
) -> Result<(Duration, Tally)> {
    let mut tally = Tally::default();
    step.ready(scene).await.context("making ready")?;
    let start = Instant::now();
    step.begin(scene).await?;
    let measured = async {
        let (_, begins) = seen(scene, step, start, |moment| moment != Moment::Before).await?;
        let (_, ends) = seen(scene, step, start, |moment| moment == Moment::After).await?;
        anyhow::Ok((begins, ends.saturating_sub(begins)))
    };
    let measured = timeout(READY, measured).await;
    let (begins, took) =
        measured.context("undisturbed, it does not end")?.context("undisturbed")?;
    step.kill(scene).await?;
    tally.count(Moment::After);
    step.again(scene, Moment::After).await.context("killed after it was done undisturbed")?;

    let (mut span, mut aimed) = (took, 0);
    while tally.within < share {
        ensure!(
            aimed < MAX_TRIES * share,
            "of {aimed} kills that were aimed at it, {} fell within it, not {share}: {tally}",
            tally.within
        );
        step.ready(scene).await.context("making ready")?;
        let start = Instant::now();
        step.begin(scene).await?;
        if tally.kills().is_multiple_of(EARLY_OF) {
            sleep_until(start + part(random, begins)).await;
        } else {
            aimed += 1;
            let has_begun = seen(scene, step, start, |moment| moment != Moment::Before);
            let begun = timeout(READY, has_begun).await.context("it does not begin")??;
            if begun.0 == Moment::Within {
                sleep(part(random, span)).await;
            }
        }
        let at = start.elapsed();
        step.kill(scene).await?;
        let moment = step.moment(scene)?;
        tally.count(moment);
        if moment == Moment::After {
            span /= 2;
        }
        tracing::debug!(?at, %moment, "killed");
        let is_right = step.again(scene, moment).await;
        is_right.with_context(|| {
            format!("killed {:.0} ms after its start, {moment} (kill {})", ms(at), tally.kills())
        })?;
    }
    Ok((took, tally))
}

/// A part of a time.
fn part(random: &mut Random, of: Duration) -> Duration {
    let micros = u64::try_from(of.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random.between(0, micros))
}

/// Waits until a step is seen to be as far as asked; how far it is, and the time since the start.
async fn seen(
    scene: &Scene<'_>,
    step: &dyn Step,
    start: Instant,
    is_far: impl Fn(Moment) -> bool,
) -> Result<(Moment, Duration)> {
    loop {
        let moment = step.moment(scene)?;
        if is_far(moment) {
            return Ok((moment, start.elapsed()));
        }
        sleep(LOOK).await;
    }
}
