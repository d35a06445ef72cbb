// Signs a call and sends it: node send.mjs URL KEY_FILE CALL
import { comet38, Comet38Client } from "@cosmjs/tendermint-rpc";
import { readKey, signed } from "./transaction.mjs";

const [url, file, text] = process.argv.slice(2);
const { body, tx, hash } = await signed(url, readKey(file), JSON.parse(text));
console.log("signed", JSON.stringify(body));

const client = await Comet38Client.connect(url);
const receipt = await client.broadcastTxCommit({ tx });
const { code, log } = receipt.checkTx.code ? receipt.checkTx : receipt.txResult;
if (!comet38.broadcastTxCommitSuccess(receipt)) throw new Error(`${hash} failed with code ${code}: ${log}`);
console.log("transaction", hash, "height", receipt.height);
for (const { type, attributes } of receipt.txResult.events) {
  console.log("event", type, ...attributes.map(({ key, value }) => `${key}=${value}`));
}
