// Transactions with Node.js alone: the node says what is to be signed and puts both together, the key stays here.
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";

/** Calls a method of a node over HTTP, also one that CometBFT does not have. */
export async function call(url, method, params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}: ${error.data}`);
  return result;
}

/** The key in a file of `tandem keys new`. */
export function readKey(file) {
  const { public_key: publicKey, secret_key: seed } = JSON.parse(readFileSync(file, "utf8"));
  // RFC 8410: an ed25519 key in PKCS #8 is these 16 bytes and the seed.
  const der = Buffer.from(`302e020100300506032b657004220420${seed}`, "hex");
  return { publicKey, privateKey: createPrivateKey({ key: der, format: "der", type: "pkcs8" }) };
}

/** Signs a call: what the node understood, and the transaction's bytes and hash. */
export async function signed(url, { publicKey, privateKey }, theCall) {
  const prepared = await call(url, "tx_prepare", { call: theCall, sender: publicKey });
  const signature = sign(null, Buffer.from(prepared.sign_bytes, "base64"), privateKey);
  const params = { sign_bytes: prepared.sign_bytes, signature: signature.toString("hex") };
  const { tx, hash } = await call(url, "tx_assemble", params);
  return { body: prepared.body, tx: Buffer.from(tx, "base64"), hash };
}
