// The explorer's pages: the path of each, its heading, and where (a selector within the main part) it says what it
// alone tells. What they say is known from elsewhere: from the network's files, from what is written here, from
// the RPC.
import { at, close, must, open } from "./browser.mjs";
import { base, chain, keyFile, node, publicKey, rpc, send, served, tandem, url } from "./network.mjs";

/** As pages show keys and hashes. */
const short = (digits) => `${digits.slice(0, 8)}…${digits.slice(-4)}`;
/** As pages show numbers. */
const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u2009");
/** The link to who holds a seat, on the page of pairs. */
export const holderOf = (seat) => `[aria-label='Seat of ${seat}'] .row:has(.key.holder) a`;

/** Writes what pages tell of: records, one of them hostile and one anew, and a motion. */
const write = () => {
  send("alpha-user", "tx", "record", "create", "prices");
  for (const [key, value, ...more] of [
    ["gold", '{"currency": "EUR", "ounce": 2310.4, "by": ["alpha", "bravo"]}', "--content-type", "application/json"],
    ["note/<b>1</b>", "<script>alert(1)</script>"],
    ["oil", "81.20"],
    ["gold", '{"currency": "EUR", "ounce": 2315.9, "by": ["alpha", "bravo"]}', "--content-type", "application/json"],
  ]) send("alpha-user", "tx", "record", "put", "prices", key, value, ...more);
  tandem("keys", "new", keyFile("epsilon-admin"));
  send("alpha-admin", "org", "propose", "add", "epsilon", "--admin-key", keyFile("epsilon-admin"));
};

/** Writes, and finds the pages of what was written by the links of others. */
export const list = async () => {
  write();
  const page = await open({});
  const link = (selector) => page.locator(selector).first().getAttribute("href");
  await page.goto(base);
  const tx = await link("#txs a[href^='/explorer/tx/']");
  await page.goto(at("/explorer/data-sets"));
  const data = await link("#sets a[href='/explorer/data-set/prices']");
  await page.goto(at(data));
  const record = await link("#records a");
  await page.goto(at(record));
  const changes = await link("#history a[href*='write=']");
  await page.goto(at(changes));
  const [was, is] = await Promise.all(["del", "ins"].map((tag) => page.locator(`.diff ${tag}`).innerText()));
  must(was.includes("2310.4") && is.includes("2315.9"), `what a write changed: ${was} ${is}`);
  await page.goto(`${base}/network`);
  must(/[0-9] ms/.test(await page.locator("#peers").innerText()), "round trips are shown");
  await page.goto(`${base}/motion/1`);
  const paper = await page.locator("#motion").innerText();
  must(paper.includes("seats 4 -> 5, quorum 3 -> 4, online after this 4"), `the motion says what it would do: ${paper}`);
  await page.goto(at(tx));
  const block = await link("main a[href^='/explorer/block/']");
  await close(page, "the ways to the pages");

  const height = Number(block.split("/").pop());
  const { block_id: { hash } } = await rpc(`block?height=${height}`);
  return {
    overview: { path: "/explorer", h1: `Overview of ${chain}`, where: "#ring .name", says: "delta" },
    pairs: { path: "/explorer/pairs", h1: "Pairs", where: holderOf("bravo"), says: short(served.key) },
    blocks: { path: "/explorer/blocks", h1: "Blocks", where: "#blocks tbody tr:nth-child(25)", says: "of 4" },
    block: { path: block, h1: `Block ${grouped(height)}`, where: ".facts .hex.whole", says: hash },
    tx: { path: tx, h1: "Transaction", where: ".facts a.hex.whole", says: publicKey("alpha-admin") },
    organizations: { path: "/explorer/organizations", h1: "Organisations", where: "#members tbody tr", says: "delta" },
    organization: {
      path: "/explorer/organization/alpha", h1: "alpha", where: "#nodes a.hex", says: short(node("alpha-b").key),
    },
    key: {
      path: `/explorer/key/${served.key}`, h1: "Key", where: ".facts a[href='/explorer/organization/bravo']",
      says: "bravo",
    },
    motions: { path: "/explorer/motions", h1: "Motions", where: "#motions tbody strong", says: "epsilon" },
    motion: { path: "/explorer/motion/1", h1: "Motion 1", where: "#motion .lead", says: "seats 4 -> 5, quorum 3 -> 4" },
    try: {
      path: "/explorer/try?kind=add_org&name=zeta", h1: "A change on paper", where: ".lead",
      says: "seats 4 -> 5, quorum 3 -> 4",
    },
    network: { path: "/explorer/network", h1: "Network", where: "#nodes tbody tr", says: short(node("obs-1").key) },
    "data-sets": {
      path: "/explorer/data-sets", h1: "Data sets", where: `#sets tr:has(a[href='${data}'])`, says: "alpha",
    },
    "data-set": { path: data, h1: "prices", where: "#records .record-key", says: "note/<b>1</b>" },
    record: { path: record, h1: "Record", where: "#record pre", says: "2315.9" },
    changes: { path: changes, h1: "Record", where: ".diff ins", says: "2315.9" },
    parameters: { path: "/explorer/parameters", h1: "Parameters", where: ".facts dd", says: chain },
    api: { path: "/explorer/api", h1: "API", where: "pre", says: `${url}/status` },
    search: { path: "/explorer/search?q=a", h1: "Search", where: ".found a", says: "Organisation charlie" },
    "not-found": {
      path: "/explorer/block/99999999", status: 404, h1: "Not found", where: ".notice",
      says: "height 99999999 must be less than or equal to the current blockchain height",
    },
  };
};

/** The pages that tell of a switch of alpha from a to b, whose own page is at `path`. */
export const ofSwitch = (path) => ({
  switch: { path, h1: "Switch of alpha", where: ".facts a.hex.whole", says: node("alpha-b").key },
  switches: { path: "/explorer/switches", h1: "Switches", where: `tr:has(a[href='${path}'])`, says: "automatic" },
  // Its pictures are of before.
  pairs: {
    path: "/explorer/pairs", h1: "Pairs", where: holderOf("alpha"), says: short(node("alpha-b").key), isPictured: false,
  },
});
