// Chromium: opens pages in it, takes pictures, and holds a page to what every page must be and to what it alone
// has to tell.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { url } from "./network.mjs";

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const { SHOTS } = process.env;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

export const must = (holds, text) => {
  if (!holds) throw new Error(`does not hold: ${text}`);
};
export let passed = 0;
export const step = (text) => {
  passed += 1;
  console.log(`ok  ${text}`);
};
export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"],
});

export const looks = {
  light: { colorScheme: "light", viewport: { width: 1440, height: 900 } },
  dark: { colorScheme: "dark", viewport: { width: 1440, height: 900 } },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 } },
  "phone-dark": { colorScheme: "dark", viewport: { width: 390, height: 844 } },
};

/** A page of the browser that takes down what is wrong on it. */
export const open = async (options) => {
  const context = await browser.newContext({ timezoneId: "Europe/Berlin", ...options });
  const page = await context.newPage();
  page.wrong = [];
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") page.wrong.push(message.text()); });
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) page.wrong.push(`asked elsewhere: ${request.url()}`);
  });
  return page;
};

/** Ends a page on which nothing was wrong, but for the status of one that was to be missing. */
export const close = async (page, what) => {
  const wrong = page.wrong.filter((text) => !(page.isOfMissing && text.includes("404")));
  must(wrong.length === 0, `${what}: ${wrong.join("; ")}`);
  await page.context().close();
};

/** The address of a path. */
export const at = (path) => new URL(path, url).href;

/** Holds a page to its heading, and to something in its main part that can be seen and that it alone tells. */
export const shows = async (page, name, { h1, where, says }) => {
  const headings = await page.locator("h1").allTextContents();
  must(headings.length === 1 && headings[0] === h1, `${name} is headed "${h1}": ${JSON.stringify(headings)}`);
  const found = page.locator("main").locator(where).filter({ hasText: says, visible: true });
  must(await found.count() > 0, `${name} has "${says}" at ${where}`);
};

/** Goes to a page by its address. */
export const visit = async (page, name, one) => {
  const { status = 200 } = one;
  page.isOfMissing ||= status === 404;
  const response = await page.goto(at(one.path));
  must(response.status() === status, `${name} has status ${status}, not ${response.status()}`);
  await shows(page, name, one);
};

/** Does what leads to another page, and waits until it is there. */
export const leads = async (page, name, act, one) => {
  const before = page.url();
  await act();
  await page.waitForURL((now) => now.href !== before);
  must(page.url() === at(one.path), `${name} leads to ${one.path}, not ${page.url()}`);
  await shows(page, name, one);
};

const settled = (page) => page.evaluate(() => Promise.all(document.getAnimations()
  .filter((one) => one.effect.getComputedTiming().iterations !== Infinity).map((one) => one.finished)));

/** Takes a picture of a page's upper part. */
export const picture = async (page, name) => {
  if (!SHOTS) return;
  await settled(page);
  const { width, height } = await page.evaluate(() => (
    { width: innerWidth, height: Math.min(document.documentElement.scrollHeight, 1100) }));
  await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true, clip: { x: 0, y: 0, width, height } });
};

/** Holds a page to what every page must be. */
export const examine = async (page, name, look) => {
  await settled(page);
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
