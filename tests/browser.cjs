// node browser.cjs PAGE CHROMIUM FOLDER: opens a report as readers do, and prints as JSON what was wrong.
const { createRequire } = require("node:module");
const [page, chromium, folder] = process.argv.slice(2);
const of = createRequire(`${folder}/`);
const puppeteer = of("puppeteer-core");
const axe = require("node:fs").readFileSync(of.resolve("axe-core/axe.min.js"), "utf8");
const found = { console: [], requests: [], scroll: [], axe: [], controls: [], address: [], values: [], keyboard: [], still: [] };

async function opened(browser, width, scheme, hash = "", script = true) {
  const tab = await browser.newPage();
  await tab.setJavaScriptEnabled(script);
  await tab.setViewport({ width, height: 900 });
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  tab.on("console", (message) => found.console.push(message.text()));
  tab.on("pageerror", (error) => found.console.push(error.message));
  tab.on("request", (one) => { if (!/^(file|data|blob):/.test(one.url())) found.requests.push(one.url()); });
  await tab.goto(`file://${page}${hash}`);
  if (script) await tab.waitForSelector("html[data-ready]");
  return tab;
}

const drawn = (tab) => tab.waitForFunction(() => document.querySelector("figure .live svg"), { timeout: 60000 });
const state = (tab) => tab.$eval("#choices", (form) => Object.fromEntries(new FormData(form)));

(async () => {
  const browser = await puppeteer.launch({ executablePath: chromium, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
  for (const width of [1440, 768, 390]) {
    for (const scheme of ["light", "dark"]) {
      const tab = await opened(browser, width, scheme);
      await drawn(tab);
      const wide = await tab.evaluate(() => document.documentElement.scrollWidth);
      if (wide > width) found.scroll.push(`${wide} of ${width}`);
      if (width === 1440) {
        await tab.evaluate(axe);
        const { violations } = await tab.evaluate(() => window.axe.run());
        for (const one of violations.filter(({ impact }) => ["serious", "critical"].includes(impact))) {
          found.axe.push(`${scheme} ${one.id}: ${one.nodes[0].html.slice(0, 200)}`);
        }
      }
      await tab.close();
    }
  }
  const tab = await opened(browser, 1440, "light");
  await drawn(tab);
  for (const name of Object.keys(await state(tab))) {
    const options = await tab.$$eval(`select[name=${name}] option`, (some) => some.map((one) => one.value));
    const before = await state(tab), other = options.at(-1);
    await tab.select(`select[name=${name}]`, other);
    const hash = new URLSearchParams((await tab.evaluate(() => location.hash)).slice(1));
    if (options.length > 1 && hash.get(name) !== other) found.controls.push(`${name}: ${hash}`);
    const again = await opened(browser, 1440, "light", `#${hash}`);
    if ((await state(again))[name] !== other) found.address.push(`${name}: ${hash}`);
    await drawn(again).catch(() => found.controls.push(`${name}: nothing is drawn`));
    await again.close();
    await tab.select(`select[name=${name}]`, before[name]);
  }
  await tab.evaluate(() => { document.querySelector(".values").open = true; });
  await tab.waitForFunction(() => document.querySelector(".values table tbody tr"), { timeout: 20000 })
    .catch(() => found.values.push("no rows"));
  const reached = new Set();
  for (let i = 0; i < 60; i++) {
    await tab.keyboard.press("Tab");
    reached.add(await tab.evaluate(() => document.activeElement.name ?? document.activeElement.tagName));
  }
  found.keyboard = Object.keys(await state(tab)).filter((name) => !reached.has(name));
  const plain = await opened(browser, 1440, "light", "", false);
  const hidden = await plain.$$eval("figure", (some) => some.filter((one) => !one.querySelector(".still svg")?.getBoundingClientRect().height).length);
  if (hidden) found.still.push(`${hidden} figures are not seen without a script`);
  await browser.close();
  console.log(JSON.stringify(found));
})();
