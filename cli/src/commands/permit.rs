//! `tandem permit`.

use serde_json::json;
use tandem_chain::keys::Strict;
use tandem_chain::modules::rights::Range;
use tandem_chain::permit::{Part, Permit as Signed, PermitBody, Shown};
use tandem_chain::types::Hash;

use super::genesis::now;
use crate::args::Global;
use crate::args::rights::{MakePermit, Permit};
use crate::exit::Usage;
use crate::{input, output};

pub async fn permit(global: &Global, command: Permit) -> anyhow::Result<()> {
    match command {
        Permit::Make(make) => self::make(global, make).await,
        Permit::Show { permit } => show(global, &input::permit(&permit)?),
    }
}

async fn make(global: &Global, args: MakePermit) -> anyhow::Result<()> {
    let key = input::secret_key(global, &args.key)?;
    let only = match (args.set, args.keys.range()?) {
        (Some(data_set), range) => Some(Part { data_set, range: range.unwrap_or_else(Range::all) }),
        (None, None) => None,
        (None, Some(_)) => {
            return Err(Usage("keys of records are those of a data set: --set NAME".into()).into());
        }
    };
    let (chain_id, node) = match (args.chain_id, args.at, args.any_node) {
        (Some(chain_id), Some(node), _) => (chain_id, Some(node)),
        (Some(chain_id), None, true) => (chain_id, None),
        (chain_id, node, any) => {
            let status = input::client(global, None).await?.status().await?;
            let asked = (!any).then_some(status.tandem.public_key);
            (chain_id.unwrap_or(status.node_info.network), node.or(asked))
        }
    };
    let ends = now()?.plus(args.valid);
    let body = PermitBody { chain_id, reader: key.public(), node, request: None, ends, only };
    let permit = Signed::sign(body, &key);
    if !global.json {
        eprintln!(
            "Whoever has it reads as {} until {}, {}: keep it like a password, and give it to \
             nodes alone (--permit)",
            output::short(&key.public()),
            ends.to_rfc3339(),
            what_for(&permit)
        );
    }
    let answer = json!({ "permit": permit.to_string(), "body": body_json(&permit) });
    // Alone on standard output, to be piped.
    output::show(global, &answer, |_| permit.to_string())
}

/// The part of the records that a permit is for.
fn what_for(permit: &Signed) -> String {
    match &permit.body.only {
        Some(Part { data_set, range }) => format!("{range} in data set {data_set}"),
        None => "all that it may read".to_owned(),
    }
}

fn body_json(permit: &Signed) -> serde_json::Value {
    let PermitBody { chain_id, reader, node, request, ends, only } = &permit.body;
    let only = only.as_ref().map(|Part { data_set, range }| {
        let [from, until] = [&range.from, &range.until].map(hex::encode_upper);
        json!({ "data_set": data_set, "from": from, "until": until })
    });
    json!({
        "chain_id": chain_id,
        "reader": reader,
        "node": node,
        "request": request,
        "ends": ends.to_rfc3339(),
        "only": only,
    })
}

/// Shows what a permit says; that its time is over, or its signature bad, is told with it.
fn show(global: &Global, permit: &Signed) -> anyhow::Result<()> {
    let PermitBody { chain_id, reader, node, request, ends, .. } = &permit.body;
    let refused = {
        // As where it is for.
        let (node, request) = (node.unwrap_or(*reader), request.unwrap_or(Hash::EMPTY));
        let shown = Shown { chain_id, node: &node, request: &request, now: now()? };
        permit.check(&Strict, &shown).err().map(|error| error.to_string())
    };
    let answer = json!({ "body": body_json(permit), "refused": refused });
    output::show(global, &answer, |_| {
        let any = || "any".to_owned();
        output::facts(&[
            ("chain", chain_id.to_string()),
            ("reads as", reader.to_string()),
            ("at node", node.map_or_else(any, |node| node.to_string())),
            ("with request", request.map_or_else(any, |request| request.to_string())),
            ("until", ends.to_rfc3339()),
            ("for", what_for(permit)),
            ("good now", refused.clone().map_or("yes".to_owned(), |why| format!("no: {why}"))),
        ])
    })
}
