// Ways from page to page: the search, the links to older blocks, the keyboard.
import { at, close, leads, looks, must, open, visit } from "./browser.mjs";

const last = (path) => path.split("/").pop();

/** Searches for what there is and for what there is not. */
export const search = async (page, pages) => {
  const { overview, block, tx, key, organization } = pages;
  const enter = (text) => async () => {
    await page.fill("#q", text);
    await page.press("#q", "Enter");
  };
  const seek = (text, one) => leads(page, `a search for ${text}`, enter(text), one);
  const results = (text, where, says) => ({ path: `/explorer/search?q=${text}`, h1: "Search", where, says });
  await visit(page, "overview", overview);
  // Each leads elsewhere than the one before.
  await seek(last(block.path), block);
  await seek(last(tx.path), tx);
  await seek(block.says, block);
  await seek(last(key.path), key);
  await seek("prices", pages["data-set"]);
  // An organisation's data set has its name in its own, so that both are listed.
  const first = ".found li:first-child a";
  await seek("alpha", results("alpha", first, "Organisation alpha"));
  await leads(page, "what was found first", () => page.click(first), organization);
  const none = [...last(tx.path)].reverse().join("");
  await seek(none, results(none, ".empty", "Nothing here is that"));
  await page.fill("#q", "nobody");
  await leads(page, "the button", () => page.click("form[role='search'] button"),
    results("nobody", ".empty", "Nothing here is that"));
};

/** Goes from the newest blocks to older ones by the page's own links, and back. */
export const older = async (page, pages) => {
  const toOlder = () => page.click("#pager a[rel='next']");
  const downFrom = async (from) => {
    const shown = await page.locator("#blocks tbody td:first-child a")
      .evaluateAll((links) => links.map((link) => Number(link.getAttribute("href").split("/").pop())));
    const isDown = shown.every((height, i) => height === from - i);
    must(shown.length === 25 && isDown, `25 blocks from ${from} down: ${shown}`);
  };
  await visit(page, "blocks", pages.blocks);
  // The newest are others by the time of the click.
  await toOlder();
  await page.waitForURL((now) => now.searchParams.has("from"));
  const from = Number(new URL(page.url()).searchParams.get("from"));
  await downFrom(from);
  const of = (height) => ({ ...pages.blocks, path: `/explorer/blocks?from=${height}` });
  await leads(page, "the way to older blocks", toOlder, of(from - 25));
  await downFrom(from - 25);
  await leads(page, "the way to newer blocks", () => page.click("#pager a[rel='prev']"), of(from));
};

/** Presses Tab until an element has the focus, and tells where it stopped; each stop must be seen. */
const reach = async (page, selector) => {
  const stops = [];
  while (stops.length < 30) {
    await page.keyboard.press("Tab");
    const { name, outline, isOutlined, isWithin, isThere } = await page.evaluate((selector) => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(element);
      const { left, right, top, bottom } = element.getBoundingClientRect();
      return {
        name: element.getAttribute("href") ?? element.id,
        outline: `${outlineWidth} ${outlineStyle} ${outlineColor}`,
        isOutlined: outlineStyle !== "none" && parseFloat(outlineWidth) >= 1 && outlineColor !== "rgba(0, 0, 0, 0)",
        isWithin: left < right && top < bottom && right > 0 && bottom > 0 && left < innerWidth && top < innerHeight,
        isThere: element.matches(selector),
      };
    }, selector);
    stops.push(name);
    must(isOutlined && isWithin, `the focus on "${name}" is seen: ${outline}, within the window: ${isWithin}`);
    if (isThere) return stops;
  }
  throw new Error(`Tab does not reach ${selector}: ${stops.join(", ")}`);
};

/** Goes from the top of the overview to the search and to other pages without a pointer. */
export const keyboard = async (pages) => {
  for (const look of ["light", "phone-dark"]) {
    const page = await open(looks[look]);
    const enter = () => page.keyboard.press("Enter");
    await page.goto(at(pages.overview.path));
    await reach(page, "#q");
    await page.keyboard.type(last(pages.block.path));
    await leads(page, "Enter in the search", enter, pages.block);

    await page.goto(at(pages.overview.path));
    const ways = await page.locator(".ways a").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
    const stops = await reach(page, ".ways li:last-child a");
    must(stops.slice(-ways.length).join() === ways.join(), `Tab goes through ${ways.join(", ")}: ${stops.join(", ")}`);
    await leads(page, "Enter on the last way", enter, pages.api);

    await page.goto(at(pages.overview.path));
    must((await reach(page, ".skip")).length === 1, "the skip link comes first");
    await enter();
    await page.waitForFunction(() => document.activeElement.id === "main");
    await close(page, `keyboard, ${look}`);
  }
};
