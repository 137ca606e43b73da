// command: node bench/run.mjs pageIdle [--seconds 20] [--json] [--check]
/**
 * What the page of `glet dev` costs while its traffic is paused: CPU of all the browser's processes together, in percent of one core, and beside it what
 * the same browser takes with an empty page.
 */
import { parseArgs } from "node:util"
import { setTimeout as sleep } from "node:timers/promises"
import { chromium } from "playwright-core"
import { chromiumOptions } from "./lib/chromium.mjs"
import { treeCpuMs } from "./lib/proc.mjs"
import { startDev } from "./lib/servers.mjs"
import { conclude, printTable } from "./lib/stats.mjs"

const { values: options } = parseArgs({
  options: { seconds: { type: "string", default: "20" }, json: { type: "boolean" }, check: { type: "boolean" } }
})
const seconds = Number(options.seconds)

const worlds = [
  { name: "an empty page", query: undefined, models: 0 },
  { name: "this device (WebAssembly)", query: "?provider=wasm", models: 4 },
  { name: "replay", query: "?world=replay", models: 6 }
]

const dev = await startDev()
const rows = []
for (const { models, name, query } of worlds) {
  const host = await chromium.launchServer(chromiumOptions())
  const browser = await chromium.connect(host.wsEndpoint())
  const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } })
  if (query !== undefined) {
    await page.goto(`http://127.0.0.1:${dev.port}/${query}`)
    await page.waitForFunction((models) => document.querySelectorAll(".card.ready").length === models, models)
    await page.getByRole("button", { name: "Pause traffic" }).click()
  }
  await sleep(5000)
  const seen = new Map()
  let spentMs = 0
  const look = (counts) => {
    for (const [pid, ms] of treeCpuMs(host.process().pid)) {
      if (counts) spentMs += ms - (seen.get(pid) ?? 0)
      seen.set(pid, ms)
    }
  }
  look(false)
  const began = performance.now()
  // The browser's processes come and go.
  for (let second = 0; second < seconds; second++) {
    await sleep(1000)
    look(true)
  }
  rows.push({ page: name, cpuPct: (100 * spentMs) / (performance.now() - began) })
  await browser.close()
  await host.close()
}
await dev.stop()

printTable(`pageIdle: CPU of the browser over ${seconds} s, % of one core`, rows)
conclude(
  "pageIdle",
  rows.filter(({ page }) => page !== "an empty page").map(({ cpuPct, page }) => ({ name: `${page}: CPU, % of one core`, value: cpuPct, rule: "<=", limit: 2 })),
  { rows }
)
