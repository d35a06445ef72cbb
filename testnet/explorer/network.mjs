// The network whose explorer is played: its nodes, keys and programs, and the node that serves the pages.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const { DIR, TESTNET, TANDEM } = process.env;
const json = (path) => JSON.parse(readFileSync(path, "utf8"));
const network = json(`${DIR}/network.json`);

export const chain = network.chain_id;
/** The node of a name, such as `alpha-b`. */
export const node = (name) => network.nodes.find((node) => node.name === name);
export const keyFile = (name) => `${DIR}/keys/${name}.json`;
/** The public key in a key file. */
export const publicKey = (name) => json(keyFile(name)).public_key;

/** The node that serves the pages. */
export const served = node("bravo-a");
export const url = `http://127.0.0.1:${served.rpc_port}`;
export const base = `${url}/explorer`;
/** What a method of its RPC answers. */
export const rpc = async (path) => (await (await fetch(`${url}/${path}`)).json()).result;

export const testnet = (...args) => execFileSync(TESTNET, [...args, "--dir", DIR], { encoding: "utf8" });
export const tandem = (...args) => execFileSync(TANDEM, args, { encoding: "utf8" });
/** Sends something to the node that serves the pages, signed with a key. */
export const send = (key, ...args) => tandem(...args, "--key", keyFile(key), "--node", url);
