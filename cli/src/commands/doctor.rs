//! `tandem doctor`.

use anyhow::bail;
use serde_json::json;
use tandem_node::decode::terminal::harmless;
use tandem_node::doctor::{self, Finding, Verdict};
use tandem_node::home::Home;
use tandem_node::run::wall_clock;

use crate::args::Global;
use crate::{input, output};

pub async fn doctor(global: &Global) -> anyhow::Result<()> {
    let clients = input::clients(global, None)?;
    let findings = doctor::examine(&Home::new(&global.home), &clients, wall_clock).await;
    let worst = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    let answer = json!({ "verdict": worst, "checks": findings });
    output::show(global, &answer, |_| {
        harmless(findings.iter().map(text).collect::<Vec<_>>().join("\n"))
    })?;
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
    if failed > 0 {
        bail!("{failed} of {} checks have failed", findings.len());
    }
    Ok(())
}

fn text(finding: &Finding) -> String {
    let verdict = match finding.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    let found = finding.found.replace('\n', " ");
    let advice = finding.advice.iter().map(|advice| format!("\n      {:15} to do: {advice}", ""));
    format!("{verdict:5} {:15} {found}{}", finding.check, advice.collect::<String>())
}
