#!/usr/bin/env node
// Tries the built package on the NVIDIA GPUs of this host: what doctor and inventory say, whether glets of each isolation compute what the CPU
// computes on the SMs they were given, and what a server does under load when things change and die. Needs `npm run build` and a CUDA provider.
//   node scripts/gpu-check.mjs [--models DIR] [--out FILE] [--parts host,executor,online,types] [--isolations green,mps,stream] [--rate MODEL=RPS]... [--slo MODEL=MS]... [--ready-within SECONDS] [--profiles DIR] [--fault COMMAND]
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { checkExecutor } from "./gpu/executor.mjs"
import { checkOnline } from "./gpu/online.mjs"

const { values: args } = parseArgs({
  options: {
    models: { type: "string", default: fileURLToPath(new URL("../resource/demo", import.meta.url)) },
    out: { type: "string" },
    parts: { type: "string", default: "host,executor,online" },
    isolations: { type: "string", default: "green,mps,stream" },
    rate: { type: "string", multiple: true, default: ["lenet-digits=200", "digits-features=50", "digits-denoise=30"] },
    slo: { type: "string", multiple: true, default: [] },
    // Profiles to begin with, so that only what they lack is measured.
    profiles: { type: "string" },
    // A command that becomes an MPS client and has a fatal exception.
    fault: { type: "string" },
    "ready-within": { type: "string", default: "300" }
  }
})
const pairs = (list) => Object.fromEntries(list.map((pair) => pair.split("=")).map(([model, value]) => [model, Number(value)]))
const parts = args.parts.split(",")
const isolations = args.isolations.split(",")
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-gpu-check-"))
if (args.profiles !== undefined) fs.cpSync(args.profiles, path.join(folder, "profiles"), { recursive: true })
const report = { host: undefined, executor: undefined, online: [], types: [] }
const save = () => args.out !== undefined && fs.writeFileSync(args.out, `${JSON.stringify(report, null, 1)}\n`)
const show = (title, rows) => {
  console.log(`\n== ${title}`)
  for (const row of rows) console.log(JSON.stringify(row))
}
const gpuProcesses = () => spawnSync("nvidia-smi", ["--query-compute-apps=pid,name,used_memory", "--format=csv,noheader"], { encoding: "utf8" }).stdout.trim()

if (parts.includes("host")) {
  const doctor = spawnSync(process.execPath, [fileURLToPath(new URL("../dist/bin/glet.js", import.meta.url)), "doctor", "--cuda"], { encoding: "utf8" })
  report.host = { code: doctor.status, text: doctor.stdout }
  console.log(`== host (doctor --cuda: code ${doctor.status})\n${doctor.stdout}${doctor.stderr}`)
  save()
}
if (parts.includes("executor")) {
  report.executor = await checkExecutor(isolations)
  show("executor", report.executor)
  save()
}
if (parts.includes("types")) {
  // What kind of work each model is, and how models slow each other down: --models is a repository of scripts/make-zoo.ts.
  const glet = fileURLToPath(new URL("../dist/bin/glet.js", import.meta.url))
  for (const isolation of isolations.filter((each) => each !== "stream")) {
    const flags = ["profile", "--models", args.models, "--gpu", "--isolation", isolation, "--types", "--pairs", "--budget", "3000", "--profiles", path.join(folder, "profiles"), "--json"]
    const measured = spawnSync(process.execPath, [glet, ...flags], { encoding: "utf8", maxBuffer: 2 ** 28 })
    const profile = measured.status === 0 ? JSON.parse(measured.stdout) : { error: measured.stderr.slice(-2000) }
    report.types.push({ isolation, profile })
    show(`types, ${isolation}`, (profile.models ?? [profile]).map(({ coRuns, error, model, types }) => ({ error, model, types, coRuns })))
    save()
  }
}
if (parts.includes("online")) {
  for (const isolation of isolations) {
    const log = path.join(folder, `serve-${isolation}.log`)
    const online = await checkOnline({ fault: args.fault, isolation, models: args.models, mpsFolder: path.join(folder, "mps"), profiles: path.join(folder, "profiles"), rates: pairs(args.rate), slo: pairs(args.slo), readyWithinMs: 1000 * Number(args["ready-within"]), log })
    online.leftOver = gpuProcesses()
    online.log = fs.readFileSync(log, "utf8").split("\n").map((line) => line.slice(0, 400)).slice(-100)
    report.online.push(online)
    show(`online, ${isolation}`, Object.entries(online).map(([name, value]) => ({ [name]: value })))
    save()
  }
}
fs.rmSync(folder, { recursive: true, force: true })
process.exit(0)
