// Asks a node what there is: node query.mjs URL [SET [KEY]]
import { Comet38Client } from "@cosmjs/tendermint-rpc";

const [url, set, key] = process.argv.slice(2);
const client = await Comet38Client.connect(url);
const { nodeInfo, syncInfo } = await client.status();
console.log("chain", nodeInfo.network, "height", syncInfo.latestBlockHeight);
const { validators } = await client.validatorsAll(syncInfo.latestBlockHeight);
for (const { address, votingPower } of validators) {
  console.log("validator", Buffer.from(address).toString("hex"), "power", String(votingPower));
}

// Data sets, the records of one, or a record's value: the path says which.
const path = ["/records", set, key].filter((part) => part !== undefined);
const answer = await client.abciQuery({
  path: [path[0], ...path.slice(1).map(encodeURIComponent)].join("/"),
  data: new Uint8Array(),
});
if (answer.code !== 0) throw new Error(answer.log);
console.log(Buffer.from(answer.value).toString());
client.disconnect();
