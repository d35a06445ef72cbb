// Makes every call of cosmjs' Comet38Client that Tandem answers, over HTTP and over a WebSocket, and looks at what
// comes back. Prints a line for each; the first that does not hold ends it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { comet38, Comet38Client } from "@cosmjs/tendermint-rpc";
import { readKey, signed } from "./transaction.mjs";

const { DIR } = process.env;
const network = JSON.parse(readFileSync(`${DIR}/network.json`, "utf8"));
const node = network.nodes.find(({ name }) => name === "bravo-a");
const url = `http://127.0.0.1:${node.rpc_port}`;
const user = readKey(`${DIR}/keys/alpha-user.json`);
const set = "calls";

const hex = (bytes) => Buffer.from(bytes).toString("hex").toUpperCase();
const sha256 = (bytes) => createHash("sha256").update(bytes).digest();
const sign = async (call) => (await signed(url, user, call)).tx;
const put = (key, value) =>
  sign({ Records: { Put: { data_set: set, key: { text: key }, value: { text: value } } } });
/** The first events of a stream, so many. */
const first = (stream, count) => new Promise((resolve, reject) => {
  const events = [];
  stream.take(count).subscribe({ next: (event) => events.push(event), error: reject, complete: () => resolve(events) });
});
const attributes = ({ events }, type) => {
  const { attributes } = events.find((event) => event.type === type);
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value]));
};

let passed = 0;
/** A call by its name and what must hold of its answer. */
const check = async (transport, name, play) => {
  try {
    const answer = await play();
    passed += 1;
    console.log(`ok  ${name}, ${transport}`);
    return answer;
  } catch (error) {
    throw new Error(`${name}, ${transport}`, { cause: error });
  }
};

const everyCall = async (transport, endpoint) => {
  const is = (name, play) => check(transport, name, play);
  const client = await is("connect", async () => {
    const client = await Comet38Client.connect(endpoint);
    assert(client instanceof Comet38Client);
    return client;
  });

  const height = await is("status", async () => {
    const { nodeInfo, syncInfo, validatorInfo } = await client.status();
    assert.equal(nodeInfo.network, network.chain_id);
    assert.match(nodeInfo.version, /^0\.38\./);
    assert.equal(hex(validatorInfo.pubkey.data), node.key);
    assert.equal(validatorInfo.votingPower, 1n);
    assert.equal(syncInfo.catchingUp, false);
    assert(syncInfo.latestBlockHeight > 0);
    return syncInfo.latestBlockHeight;
  });
  await is("health", async () => assert.equal(await client.health(), null));
  await is("genesis", async () => {
    const genesis = await client.genesis();
    assert.equal(genesis.chainId, network.chain_id);
    assert.deepEqual(genesis.appState.organizations.map(({ name }) => name), network.orgs);
  });

  // A transaction that is signed here, in a block.
  const key = `by/${transport}`;
  const tx = await put(key, "81.20");
  const at = await is("broadcastTxCommit", async () => {
    const receipt = await client.broadcastTxCommit({ tx });
    assert(comet38.broadcastTxCommitSuccess(receipt), receipt.checkTx.log);
    assert.equal(hex(receipt.hash), hex(sha256(tx)));
    assert(receipt.height > height);
    assert.deepEqual(attributes(receipt.txResult, "record_put"), { data_set: set, key, version: "1" });
    return receipt.height;
  });
  const { hash, header, txs } = await is("block", async () => {
    const { blockId, block } = await client.block(at);
    assert.equal(block.header.height, at);
    assert.equal(block.header.chainId, network.chain_id);
    assert.equal(hex(block.txs[1]), hex(tx));
    assert.equal(block.lastCommit.height, at - 1);
    return { hash: hex(blockId.hash), header: block.header, txs: block.txs };
  });
  await is("blockResults", async () => {
    const { height, results } = await client.blockResults(at);
    assert.equal(height, at);
    assert.equal(results.length, txs.length);
    assert.equal(attributes(results[1], "record_put").key, key);
  });
  await is("blockchain", async () => {
    const { lastHeight, blockMetas } = await client.blockchain(1, at);
    assert(lastHeight >= at);
    assert.deepEqual(blockMetas.map(({ header }) => header.height), [...Array(Math.min(at, 20)).keys()].map((i) => at - i));
    assert.equal(hex(blockMetas[0].blockId.hash), hash);
  });
  await is("commit", async () => {
    const { header, commit } = await client.commit(at);
    assert.deepEqual([header.height, commit.height, hex(commit.blockId.hash)], [at, at, hash]);
    assert(commit.signatures.filter(({ signature }) => signature?.length === 64).length >= 3);
  });
  await is("validatorsAll", async () => {
    const { blockHeight, validators, total } = await client.validatorsAll(at);
    assert.deepEqual([blockHeight, total], [at, 4]);
    const holders = network.nodes.filter(({ role }) => role === "validator").map(({ key }) => key);
    assert.deepEqual(validators.map(({ pubkey }) => hex(pubkey.data)).sort(), holders.sort());
  });
  await is("tx", async () => {
    const found = await client.tx({ hash: sha256(tx), prove: true });
    assert.deepEqual([hex(found.tx), found.height, found.index], [hex(tx), at, 1]);
    assert.equal(found.result.code, 0);
    assert.equal(hex(found.proof.rootHash), hex(header.dataHash));
  });
  await is("txSearchAll", async () => {
    const query = `record_put.data_set = '${set}' AND record_put.key = '${key}'`;
    const found = await client.txSearchAll({ query });
    assert.equal(found.totalCount, 1);
    assert.deepEqual([found.txs[0].height, hex(found.txs[0].tx)], [at, hex(tx)]);
  });
  await is("blockSearchAll", async () => {
    const found = await client.blockSearchAll({ query: `block.height >= ${at - 1} AND block.height <= ${at}` });
    assert.deepEqual(found.blocks.map(({ block }) => block.header.height).sort((a, b) => a - b), [at - 1, at]);
  });
  await is("abciInfo", async () => {
    const { lastBlockHeight, lastBlockAppHash } = await client.abciInfo();
    assert(lastBlockHeight >= at);
    assert.equal(lastBlockAppHash.length, 32);
  });
  await is("abciQuery", async () => {
    const ask = async (path) => {
      const { code, value } = await client.abciQuery({ path, data: new Uint8Array() });
      assert.equal(code, 0);
      return Buffer.from(value).toString();
    };
    assert.equal(await ask(`/records/${set}/${encodeURIComponent(key)}`), "81.20");
    const { records } = JSON.parse(await ask(`/records/${set}`));
    assert(records.some((record) => record.key === hex(Buffer.from(key))));
    assert.deepEqual(JSON.parse(await ask("/records")).data_sets, [{ name: set, owner: "alpha" }]);
  });
  await is("broadcastTxSync", async () => {
    const tx = await put(key, "82.00");
    const answer = await client.broadcastTxSync({ tx });
    assert(comet38.broadcastTxSyncSuccess(answer), answer.log);
    assert.equal(hex(answer.hash), hex(sha256(tx)));
    // Its receipt comes to who sends it again; a stranger's key is refused.
    assert((await client.broadcastTxCommit({ tx })).height > at);
    const spoilt = Buffer.from(tx);
    spoilt[spoilt.length - 1] ^= 1;
    assert.equal((await client.broadcastTxSync({ tx: spoilt })).code, 2);
  });
  // All that was sent has its receipt.
  await is("numUnconfirmedTxs", async () => {
    assert.deepEqual(await client.numUnconfirmedTxs(), { total: 0, totalBytes: 0 });
  });
  return { client, is };
};

const toCreate = await Comet38Client.connect(url);
const created = await toCreate.broadcastTxCommit({ tx: await sign({ Records: { Create: { data_set: set } } }) });
assert(comet38.broadcastTxCommitSuccess(created), created.checkTx.log);

(await everyCall("HTTP", url)).client.disconnect();
const { client, is } = await everyCall("WebSocket", url.replace("http", "ws"));
const following = (headers) => {
  headers.slice(1).forEach((header, i) => {
    assert.equal(header.height, headers[i].height + 1);
    assert.equal(header.chainId, network.chain_id);
  });
  return headers;
};
await is("subscribeNewBlock", async () => {
  const blocks = await first(client.subscribeNewBlock(), 3);
  following(blocks.map(({ header }) => header));
  assert(blocks.every(({ header, lastCommit }) => lastCommit.height === header.height - 1));
});
await is("subscribeNewBlockHeader", async () => {
  const headers = following(await first(client.subscribeNewBlockHeader(), 3));
  assert.notEqual(hex(headers[0].lastBlockId.hash), hex(headers[1].lastBlockId.hash));
});
await is("subscribeTx", async () => {
  const txs = await Promise.all(["a", "b"].map((value) => put("subscribed", value)));
  const events = first(client.subscribeTx(`record_put.key = 'subscribed'`), 2);
  // The subscription is made when a later request on the same WebSocket is answered.
  await client.health();
  await Promise.all([put("another", "c"), ...txs].map(async (tx) => client.broadcastTxSync({ tx: await tx })));
  const found = await events;
  assert.deepEqual(found.map(({ tx }) => hex(tx)).sort(), txs.map(hex).sort());
  assert(found.every(({ hash, tx, height, result }) => hex(hash) === hex(sha256(tx)) && height > 0 && result.code === 0));
});
console.log(`clients: ${passed} passed, 0 failed`);
// After a disconnect() of a WebSocket, cosmjs connects again, and would never end.
process.exit();
