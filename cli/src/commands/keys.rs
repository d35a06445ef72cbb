//! `tandem keys`.

use serde_json::json;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::consortium::registration_proof;
use tandem_node::home::{Home, KeyFile};

use crate::args::{Global, Keys};
use crate::{input, output};

pub fn keys(global: &Global, command: Keys) -> anyhow::Result<()> {
    match command {
        Keys::New { file } => {
            let key = input::new_key();
            KeyFile::new(&key).create(&file)?;
            show(global, &key.public())
        }
        Keys::Show { file } => {
            let file = file.unwrap_or_else(|| Home::new(&global.home).node_key_path());
            show(global, &input::secret_key(&file)?.public())
        }
        Keys::Proof { file, org, chain_id } => {
            let key = match file {
                Some(file) => input::secret_key(&file)?,
                None => Home::new(&global.home).node_key()?,
            };
            let proof = registration_proof(&chain_id, &org, &key);
            let answer = json!({ "public_key": key.public(), "proof": proof });
            output::show(global, &answer, |_| {
                let facts =
                    [("public key", key.public().to_string()), ("proof", proof.to_string())];
                output::facts(&facts)
            })
        }
    }
}

fn show(global: &Global, key: &PublicKey) -> anyhow::Result<()> {
    let answer = json!({ "public_key": key, "address": key.address() });
    output::show(global, &answer, |_| key.to_string())
}
