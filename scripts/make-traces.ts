/**
 * Writes resource/traces/: times of requests to play again, with `glet bench --trace` or in a scenario.
 *
 *   npx vite-node --script scripts/make-traces.ts
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { makeSchedule } from "../src/simulator/ArrivalSchedule.js"

const folder = path.join(process.cwd(), "resource", "traces")
fs.mkdirSync(folder, { recursive: true })

const rateRps = 200
const cv = 2
const seed = 1
const durationMs = 30_000

const next = makeSchedule({ ratesRps: [rateRps], periodMs: Infinity, distribution: "gamma", cv, seed })
const times: Array<string> = []
for (let at = next(); at < durationMs; at = next()) times.push(at.toFixed(2))
fs.writeFileSync(path.join(folder, "bursts-200.txt"), [
  `# ${rateRps} requests/s in bursts for ${durationMs / 1000} s: gamma-distributed gaps of CV ${cv}, seed ${seed}; ms. By scripts/make-traces.ts.`, ...times, ""
].join("\n"))
