// Plays the explorer's pages in Chromium: each page in four looks with axe, and without script; the search and the
// keyboard; live, and over a switch. Prints a line for each step; the first that does not hold ends it.
import { browser, close, examine, leads, looks, must, open, passed, picture, step, visit } from "./browser.mjs";
import { holderOf, list, ofSwitch } from "./list.mjs";
import { base, node, rpc, testnet } from "./network.mjs";
import { keyboard, older, search } from "./ways.mjs";

const inAllLooks = async (pages, what) => {
  for (const [look, options] of Object.entries(looks)) {
    const page = await open(options);
    for (const [name, one] of Object.entries(pages)) {
      await visit(page, name, one);
      if (one.isPictured !== false) await picture(page, `${name}.${look}`);
      await examine(page, name, look);
    }
    await close(page, look);
    step(`${Object.keys(pages).length} ${what}, ${look}: nothing too wide, no violation that axe finds, no error`);
  }
};

const withoutScript = async (pages) => {
  const page = await open({ javaScriptEnabled: false });
  for (const [name, one] of Object.entries(pages)) await visit(page, `${name} without script`, one);
  return page;
};

try {
  const pages = await list();
  await inAllLooks(pages, "pages");

  const plain = await withoutScript(pages);
  await plain.goto(base);
  must(await plain.locator("#blocks tbody tr").count() === 10, "ten blocks without script");
  must(!await plain.locator("#theme").isVisible(), "no switch without script");
  await search(plain, pages);
  await older(plain, pages);
  await close(plain, "without script");
  step("without script: every page says what it has to, the search, older blocks");

  const reader = await open(looks.light);
  await search(reader, pages);
  await older(reader, pages);
  await examine(reader, "older blocks", "light");
  await close(reader, "the search and older blocks");
  step("the search finds what there is and says what there is not; older blocks by the page's own links");

  await keyboard(pages);
  step("keyboard: the skip link, the search and all ways, and where the focus is can be seen");

  const live = await open(looks.light);
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
  while (Number((await rpc("status")).sync_info.latest_block_height) < paused + 60);
  must(await height() === paused, "a pause is a pause");
  await live.click("#live");
  await live.click("#theme");
  const theme = await live.evaluate(() => document.documentElement.dataset.theme);
  await live.reload();
  must(await live.evaluate(() => document.documentElement.dataset.theme) === theme, "the theme is kept");
  step("live: blocks come, nothing moves, typing stays, times are local, pause and theme are kept");

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
  await live.locator(`${holderOf("alpha")}[href='/explorer/key/${node("alpha-b").key}']`).waitFor();
  await picture(live, "pairs.switched");
  const proof = live.locator("#switches a[href^='/explorer/switch/']").first();
  const switched = ofSwitch(await proof.getAttribute("href"));
  await leads(live, "the switch's proof", () => proof.click(), switched.switch);
  must(await live.locator("main").getByText("dead", { exact: true }).count() >= 10, "its proof has the records");
  await close(live, "over the switch");
  step("a validator is killed: run, switch and proof come up on the page that is open");

  await inAllLooks(switched, "pages after the switch");
  await close(await withoutScript(switched), "after the switch, without script");
  step("after the switch, without script: its pages say what they have to");
  console.log(`explorer: ${passed} passed, 0 failed`);
} finally {
  await browser.close();
}
