// command: node bench/run.mjs pageStart [--rounds 5] [--json] [--check]
/**
 * From opening the address of the built `glet dev` to a page that can be used, in headless Chromium: every model of the world has its plan and is
 * served. Each round is a fresh profile of the browser: what a device's models take is measured at its first visit, and known at the second. The
 * columns say where the time goes: the document is parsed, the host worker says its first word, plans are deployed, all models are ready and shown.
 */
import { parseArgs } from "node:util"
import * as fs from "node:fs"
import { chromium } from "playwright-core"
import { startDev } from "./lib/servers.mjs"
import { conclude, median, printTable } from "./lib/stats.mjs"

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, json: { type: "boolean" }, check: { type: "boolean" } }
})
const rounds = Number(options.rounds)
const executablePath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((file) => file !== undefined && fs.existsSync(file))
if (executablePath === undefined) throw new Error("there is no Chromium: scripts/install-test-packages installs it, or set CHROMIUM")

const worlds = [
  { name: "this device (WebAssembly), first visit", query: "?provider=wasm", models: 4 },
  { name: "this device (WebAssembly), second visit", query: "?provider=wasm", models: 4, again: true },
  { name: "replay", query: "?world=replay", models: 6 }
]

/** In the page, before its own scripts: when the host worker said what, ms since the address was opened. */
const listen = () => {
  const heard = (globalThis.gletHeard = { firstWord: undefined, planned: undefined, ready: undefined })
  globalThis.Worker = class extends globalThis.Worker {
    constructor(...args) {
      super(...args)
      this.addEventListener("message", ({ data }) => {
        if (data.kind !== "state") return
        const now = performance.now()
        heard.firstWord ??= now
        if (data.plan.generation > 0) heard.planned ??= now
        if (data.models.length > 0 && data.models.every(({ state }) => state === "ready")) heard.ready ??= now
      })
    }
  }
}

const server = await startDev()
const browser = await chromium.launch({
  executablePath, headless: true,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
})
const rows = []
let context
for (let round = 0; round < rounds; round++) {
  for (const { again, models, name, query } of worlds) {
    if (again !== true) {
      await context?.close()
      context = await browser.newContext({ viewport: { width: 1400, height: 1000 } })
    }
    const page = await context.newPage()
    await page.addInitScript(listen)
    // A window that was just opened is busy with itself.
    await page.waitForTimeout(2500)
    await page.goto(`http://127.0.0.1:${server.port}/${query}`)
    await page.waitForFunction((count) => document.querySelectorAll(".card.ready").length === count, models)
    const seen = await page.evaluate(() => ({
      parsed: performance.getEntriesByType("navigation")[0].domInteractive, ...globalThis.gletHeard, shown: performance.now()
    }))
    rows.push({ world: name, parsedMs: seen.parsed, firstWordMs: seen.firstWord, plannedMs: seen.planned, readyMs: seen.ready, shownMs: seen.shown })
    await page.close()
  }
}
await browser.close()
await server.stop()

printTable("pageStart: ms since the address was opened", rows)
conclude(
  "pageStart",
  worlds.map(({ name }) => ({ name: `${name}: usable, ms (median)`, value: median(rows.filter(({ world }) => world === name).map(({ shownMs }) => shownMs)), rule: "<=", limit: 2000 })),
  { rows }
)
