// command: node bench/run.mjs pageStart [--rounds 5] [--json] [--check]
/**
 * From opening the address of the built `glet dev` to a page that can be used, in headless Chromium. Usable: a plan is shown, its models are served, its
 * controls work. At the first visit to a device that is the plan of the first model that was measured; the others follow. Each round is a fresh profile
 * of the browser: what a device's models take is measured at its first visit, and known at the second. The columns say where the time goes: the document
 * is parsed, the host worker says its first word, the page is usable, all models are shown to be served.
 */
import { parseArgs } from "node:util"
import { chromium } from "playwright-core"
import { chromiumOptions } from "./lib/chromium.mjs"
import { startDev } from "./lib/servers.mjs"
import { conclude, median, printTable } from "./lib/stats.mjs"

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, json: { type: "boolean" }, check: { type: "boolean" } }
})
const rounds = Number(options.rounds)

const worlds = [
  { name: "this device (WebAssembly), first visit", query: "?provider=wasm", models: 4 },
  { name: "this device (WebAssembly), second visit", query: "?provider=wasm", models: 4, again: true },
  { name: "replay", query: "?world=replay", models: 6 }
]

/** In the page, before its own scripts: when what was there, ms since the address was opened. */
const watch = (models) => {
  const seen = (globalThis.gletSeen = { firstWord: undefined, usable: undefined, all: undefined })
  globalThis.Worker = class extends globalThis.Worker {
    constructor(...args) {
      super(...args)
      this.addEventListener("message", ({ data }) => {
        if (data.kind === "state") seen.firstWord ??= performance.now()
      })
    }
  }
  const look = () => {
    const served = document.querySelectorAll(".card.ready").length
    if (served > 0 && document.querySelector(".plan .glet:not(.unready)") !== null) seen.usable ??= performance.now()
    if (served === models) seen.all ??= performance.now()
    if (seen.all === undefined) requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
}

const server = await startDev()
const browser = await chromium.launch(chromiumOptions())
const rows = []
let context
for (let round = 0; round < rounds; round++) {
  for (const { again, models, name, query } of worlds) {
    if (again !== true) {
      await context?.close()
      context = await browser.newContext({ viewport: { width: 1400, height: 1000 } })
    }
    const page = await context.newPage()
    await page.addInitScript(watch, models)
    // A window that was just opened is busy with itself.
    await page.waitForTimeout(2500)
    await page.goto(`http://127.0.0.1:${server.port}/${query}`)
    await page.waitForFunction(() => globalThis.gletSeen.all !== undefined)
    const { all, firstWord, parsed, usable } = await page.evaluate(() => ({
      parsed: performance.getEntriesByType("navigation")[0].domInteractive, ...globalThis.gletSeen
    }))
    rows.push({ world: name, parsedMs: parsed, firstWordMs: firstWord, usableMs: usable, allServedMs: all })
    await page.close()
  }
}
await browser.close()
await server.stop()

printTable("pageStart: ms since the address was opened", rows)
conclude(
  "pageStart",
  worlds.map(({ name }) => ({ name: `${name}: usable, ms (median)`, value: median(rows.filter(({ world }) => world === name).map(({ usableMs }) => usableMs)), rule: "<=", limit: 2000 })),
  { rows }
)
