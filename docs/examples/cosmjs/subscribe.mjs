// Shows blocks and transactions as they come, for ever or so many blocks: node subscribe.mjs URL [BLOCKS]
import { Comet38Client } from "@cosmjs/tendermint-rpc";

const [url, blocks] = process.argv.slice(2);
const client = await Comet38Client.connect(url.replace(/^http/, "ws"));
const fail = (error) => {
  console.error(error);
  process.exit(1);
};
client.subscribeTx().subscribe({
  next: ({ height, hash, result }) =>
    console.log("transaction", Buffer.from(hash).toString("hex").toUpperCase(), "height", height, "code", result.code),
  error: fail,
});
let shown = 0;
client.subscribeNewBlock().subscribe({
  next: ({ header, txs }) => {
    // Transaction 0 is the block's liveness record.
    console.log("block", header.height, "of", header.time.toISOString(), "with", txs.length - 1);
    shown += 1;
    // Not by disconnect(): cosmjs would connect again.
    if (String(shown) === blocks) process.exit();
  },
  error: fail,
});
