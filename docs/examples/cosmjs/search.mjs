// Finds what was written in a data set, the oldest first: node search.mjs URL SET
import { Comet38Client } from "@cosmjs/tendermint-rpc";

const [url, set] = process.argv.slice(2);
const client = await Comet38Client.connect(url);
const found = await client.txSearchAll({ query: `record_put.data_set = '${set}'`, order_by: "asc" });
console.log(found.totalCount, "found");
for (const { height, hash, result } of found.txs) {
  const { attributes } = result.events.find(({ type }) => type === "record_put");
  console.log("height", height, ...attributes.map(({ key, value }) => `${key}=${value}`));
  console.log("  transaction", Buffer.from(hash).toString("hex").toUpperCase());
}
client.disconnect();
