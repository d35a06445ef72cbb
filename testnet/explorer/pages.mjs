// Plays the explorer's pages in Chromium: each page in four looks with axe, without script, at the width of a
// phone, live, and over a switch. Prints a line for each step; the first that does not hold ends it.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const { DIR, TESTNET, TANDEM, SHOTS } = process.env;
const testnet = (...args) => execFileSync(TESTNET, [...args, "--dir", DIR], { encoding: "utf8" });
const nodes = JSON.parse(readFileSync(`${DIR}/network.json`, "utf8")).nodes;
const url = (name) => `http://127.0.0.1:${nodes.find((node) => node.name === name).rpc_port}`;
const base = `${url("bravo-a")}/explorer`;
const tandem = (key, ...args) =>
  execFileSync(TANDEM, [...args, "--key", `${DIR}/keys/${key}.json`, "--node", url("bravo-a")], { encoding: "utf8" });
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

const must = (holds, text) => {
  if (!holds) throw new Error(`does not hold: ${text}`);
};
let passed = 0;
const step = (text) => {
  passed += 1;
  console.log(`ok  ${text}`);
};
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

/** A page of the browser that takes down what is wrong on it. */
const open = async (options) => {
  const context = await browser.newContext({ timezoneId: "Europe/Berlin", ...options });
  const page = await context.newPage();
  page.wrong = [];
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") page.wrong.push(message.text()); });
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(base).origin)) page.wrong.push(`asked elsewhere: ${request.url()}`);
  });
  return page;
};

/** Takes a picture of a page's upper part. */
const picture = async (page, name) => {
  if (!SHOTS) return;
  const { width, height } = await page.evaluate(() => (
    { width: innerWidth, height: Math.min(document.documentElement.scrollHeight, 1100) }));
  await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true, clip: { x: 0, y: 0, width, height } });
};

/** Takes a picture, and holds a page to what every page must be. */
const examine = async (page, name, look) => {
  await page.evaluate(() => Promise.all(document.getAnimations()
    .filter((one) => one.effect.getComputedTiming().iterations !== Infinity).map((one) => one.finished)));
  await picture(page, `${name}.${look}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  must(wide <= 0, `${name} (${look}) is ${wide} pixels too wide`);
  // Not by a script element: the policy of the page would refuse it.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  const told = found.violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html).join(" ")}`);
  must(told.length === 0, `${name} (${look}): ${told.join("; ")}`);
};

const looks = [
  ["light", { colorScheme: "light", viewport: { width: 1440, height: 900 } }],
  ["dark", { colorScheme: "dark", viewport: { width: 1440, height: 900 } }],
  ["phone", { colorScheme: "light", viewport: { width: 390, height: 844 } }],
  ["phone-dark", { colorScheme: "dark", viewport: { width: 390, height: 844 } }],
];

try {
  tandem("alpha-user", "tx", "record", "create", "prices");
  for (const [key, value, ...more] of [
    ["gold", '{"currency": "EUR", "ounce": 2310.4, "by": ["alpha", "bravo"]}', "--content-type", "application/json"],
    ["note/<b>1</b>", "<script>alert(1)</script>"],
    ["oil", "81.20"],
    ["gold", '{"currency": "EUR", "ounce": 2315.9, "by": ["alpha", "bravo"]}', "--content-type", "application/json"],
  ]) tandem("alpha-user", "tx", "record", "put", "prices", key, value, ...more);
  execFileSync(TANDEM, ["keys", "new", `${DIR}/keys/epsilon-admin.json`]);
  tandem("alpha-admin", "org", "propose", "add", "epsilon", "--admin-key", `${DIR}/keys/epsilon-admin.json`);

  const first = await open({});
  await first.goto(base);
  const tx = await first.locator("#txs a[href^='/explorer/tx/']").first().getAttribute("href");
  const set = "/explorer/data-sets";
  await first.goto(new URL(set, base).href);
  const data = "/explorer/data-set/prices";
  must(await first.locator(`#sets a[href='${data}']`).count() === 1, "the data set is listed");
  await first.goto(new URL(data, base).href);
  const record = await first.locator("#records a").first().getAttribute("href");
  await first.goto(new URL(record, base).href);
  const changes = await first.locator("#history a[href*='write=']").first().getAttribute("href");
  await first.goto(new URL(changes, base).href);
  const [was, is] = await Promise.all(["del", "ins"].map((tag) => first.locator(`.diff ${tag}`).innerText()));
  must(was.includes("2310.4") && is.includes("2315.9"), `what a write changed: ${was} ${is}`);
  await first.goto(`${base}/network`);
  must(/[0-9] ms/.test(await first.locator("#peers").innerText()), "round trips are shown");
  await first.goto(`${base}/motion/1`);
  const paper = await first.locator("#motion").innerText();
  must(paper.includes("seats 4 -> 5, quorum 3 -> 4, online after this 4"), `the motion says what it would do: ${paper}`);
  await first.goto(`${base}/pairs`);
  const key = await first.locator("a[href^='/explorer/key/']").first().getAttribute("href");
  await first.goto(new URL(tx, base).href);
  const block = await first.locator("main a[href^='/explorer/block/']").first().getAttribute("href");
  must(first.wrong.length === 0, first.wrong.join("; "));
  const pages = {
    overview: "/explorer", pairs: "/explorer/pairs", switches: "/explorer/switches", blocks: "/explorer/blocks",
    block, tx, organizations: "/explorer/organizations", organization: "/explorer/organization/alpha", key,
    motions: "/explorer/motions", motion: "/explorer/motion/1", try: "/explorer/try?kind=add_org&name=zeta", network: "/explorer/network",
    "data-sets": set, "data-set": data, record, changes, parameters: "/explorer/parameters", api: "/explorer/api",
    search: "/explorer/search?q=a", "not-found": "/explorer/block/99999999",
  };

  for (const [look, options] of looks) {
    const page = await open(options);
    for (const [name, target] of Object.entries(pages)) {
      const response = await page.goto(new URL(target, base).href);
      must(response.status() === (name === "not-found" ? 404 : 200), `${name}: ${response.status()}`);
      await examine(page, name, look);
    }
    const wrong = page.wrong.filter((text) => !text.includes("404"));
    must(wrong.length === 0, `${look}: ${wrong.join("; ")}`);
    await page.context().close();
    step(`${Object.keys(pages).length} pages, ${look}: nothing too wide, no violation that axe finds, no error`);
  }

  const plain = await open({ javaScriptEnabled: false });
  for (const target of Object.values(pages)) await plain.goto(new URL(target, base).href);
  await plain.goto(base);
  must(await plain.locator("#blocks tbody tr").count() === 10, "ten blocks without script");
  must(!await plain.locator("#theme").isVisible(), "no switch without script");
  await plain.fill("#q", "alpha");
  await plain.press("#q", "Enter");
  await plain.waitForURL("**/explorer/search?q=**");
  must(await plain.locator("main a[href='/explorer/organization/alpha']").isVisible(), "search without script");
  step("without script: every page, and search");

  const live = await open({ viewport: { width: 1440, height: 900 } });
  await live.goto(base);
  const height = async () => Number((await live.locator("#figures .big").first().innerText()).replace(/\D/g, ""));
  const grown = (from) => live.waitForFunction(
    (from) => Number(document.querySelector("#figures .big").innerText.replace(/\D/g, "")) > from, from);
  const before = await height();
  const boxes = () => live.evaluate(() => ["ring", "pace", "blocks", "txs"].map((id) => {
    const { top, height } = document.getElementById(id).getBoundingClientRect();
    return `${id} ${Math.round(top)} ${Math.round(height)}`;
  }).join());
  const placed = await boxes();
  await live.locator("#q").focus();
  await live.keyboard.type("12");
  for (let asked = 0; asked < 3; asked += 1) await live.waitForResponse((response) => response.url() === base);
  await grown(before);
  must(await height() > before, "the height rises while the page is open");
  must(await boxes() === placed, `nothing moves: ${placed} and ${await boxes()}`);
  must(await live.inputValue("#q") === "12", "what is being typed stays");
  const zone = await live.locator("#zone").innerText();
  must(zone === "Europe/Berlin", `times are in the reader's zone, not ${zone}`);
  const { iso, shown } = await live.locator("time").first().evaluate((e) => ({ iso: e.dateTime, shown: e.textContent }));
  const there = new Date(iso).toLocaleString("sv-SE", { timeZone: "Europe/Berlin" });
  must(shown === there, `${shown} is ${there}`);
  await live.click("#live");
  const paused = await height();
  // So many blocks that it would have asked again twice and more.
  const status = async () => (await (await fetch(`${url("bravo-a")}/status`)).json()).result.sync_info;
  while (Number((await status()).latest_block_height) < paused + 60);
  must(await height() === paused, "a pause is a pause");
  await live.click("#live");
  await live.click("#theme");
  const theme = await live.evaluate(() => document.documentElement.dataset.theme);
  await live.reload();
  must(await live.evaluate(() => document.documentElement.dataset.theme) === theme, "the theme is kept");
  step("live: blocks come, nothing moves, typing stays, times are local, pause and theme are kept");

  await live.goto(base);
  await live.keyboard.press("Tab");
  must(await live.evaluate(() => document.activeElement.className) === "skip", "the skip link comes first");
  await live.keyboard.press("Enter");
  must(await live.evaluate(() => document.activeElement.id) === "main", "it leads to the page");
  step("keyboard: the skip link");

  await live.goto(`${base}/pairs`);
  const rows = () => live.locator("#switches tbody tr").count();
  const had = await rows();
  testnet("kill", "alpha-a");
  await live.locator("article[aria-label='Seat of alpha'] .progress").waitFor({ timeout: 30_000 });
  await picture(live, "pairs.failing");
  await live.waitForFunction((had) => document.querySelectorAll("#switches tbody tr").length > had, had,
    { timeout: 60_000 });
  must(await rows() === had + 1, "the switch comes up on the page that is open");
  must((await live.locator("#switches tbody tr").first().innerText()).includes("automatic"), "it is automatic");
  await picture(live, "pairs.switched");
  await live.locator("#switches a[href^='/explorer/switch/']").first().click();
  await live.waitForURL("**/explorer/switch/**");
  must(await live.locator("main").getByText("dead", { exact: true }).count() >= 10, "its proof has the records");
  await examine(live, "switch", "light");
  must(live.wrong.length === 0, live.wrong.join("; "));
  step("a validator is killed: run, switch and proof come up on the page that is open");
  console.log(`explorer: ${passed} passed, 0 failed`);
} finally {
  await browser.close();
}
