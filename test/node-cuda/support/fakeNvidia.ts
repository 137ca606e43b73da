/**
 * A host with NVIDIA GPUs, faked: `nvidia-smi` and `nvidia-cuda-mps-control` as small scripts in a folder of their own that stands first on PATH,
 * and a runner that computes on the CPU but speaks of the GPU as the driver would. Daemon and server are real processes, so that their deaths are real.
 */
import { build } from "esbuild"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Probed } from "../../../src/node-cuda/runner/probe.js"

const smiScript = (folder: string): string => `#!${process.execPath}
const fs = require("node:fs")
const file = process.argv[2] === "-L" ? "list.txt" : "gpus.csv"
if (fs.existsSync("${folder}/smi-broken")) { console.log(fs.readFileSync("${folder}/smi-broken", "utf8")); process.exit(9) }
process.stdout.write(fs.readFileSync("${folder}/" + file, "utf8"))
`

// A daemon is a sleeping process; "control" stands for its socket, and files beside it for what it knows.
const mpsScript = (folder: string): string => `#!${process.execPath}
const fs = require("node:fs"), { spawn } = require("node:child_process")
const dir = process.env.CUDA_MPS_PIPE_DIRECTORY ?? "/tmp/nvidia-mps"
const alive = (pid) => { try { process.kill(pid, 0); return !fs.readFileSync("/proc/" + pid + "/stat", "utf8").includes(") Z ") } catch { return false } }
const read = (name) => { try { return fs.readFileSync(dir + "/" + name, "utf8").trim() } catch { return "" } }
const sleeper = (name) => {
  const child = spawn("sleep", ["600"], { detached: true, stdio: "ignore" })
  child.unref()
  fs.writeFileSync(dir + "/" + name, String(child.pid))
}
const daemon = () => Number(read("nvidia-cuda-mps-control.pid"))
fs.appendFileSync("${folder}/calls.log", "")
if (process.argv[2] === "-d") {
  fs.appendFileSync("${folder}/calls.log", "start " + process.env.CUDA_VISIBLE_DEVICES + "\\n")
  if (fs.existsSync("${folder}/mps-broken")) {
    fs.writeFileSync(process.env.CUDA_MPS_LOG_DIRECTORY + "/control.log", fs.readFileSync("${folder}/mps-broken"))
    process.exit(1)
  }
  if (fs.existsSync(dir + "/control")) process.exit(1)
  fs.mkdirSync(dir + "/clients", { recursive: true })
  sleeper("nvidia-cuda-mps-control.pid")
  sleeper("server.pid")
  fs.writeFileSync(dir + "/control", "")
} else {
  const [command, ...args] = fs.readFileSync(0, "utf8").trim().split(" ")
  if (!alive(daemon())) { console.log("Cannot find MPS control daemon process"); process.exit(1) }
  if (command !== "get_server_list") fs.appendFileSync("${folder}/calls.log", [command, ...args].join(" ") + "\\n")
  if (command === "get_server_list") { if (alive(Number(read("server.pid")))) console.log(read("server.pid")) }
  else if (command === "get_server_status") {
    // As on an H200: the fault is over with its last client.
    if (!fs.readdirSync(dir + "/clients").some((pid) => alive(Number(pid)))) fs.rmSync(dir + "/status", { force: true })
    console.log(read("status") || "ACTIVE")
  }
  else if (command === "get_client_list") for (const pid of fs.readdirSync(dir + "/clients")) { if (alive(Number(pid))) console.log(pid) }
  else if (command === "terminate_client") console.log("CUDA_SUCCESS")
  else if (command === "quit") {
    for (const pid of [daemon(), Number(read("server.pid"))]) { try { process.kill(pid, "SIGKILL") } catch {} }
    fs.rmSync(dir + "/control"); fs.rmSync(dir + "/nvidia-cuda-mps-control.pid")
  }
}
`

export interface FakeNvidia {
  readonly folder: string
  /** The fake's runner. */
  readonly runnerPath: string
  readonly setGpus: (lines: ReadonlyArray<string>, list?: string) => void
  /** What the driver says of a device, or of all. */
  readonly setProbe: (probed: Probed, uuid?: string) => void
  /** Commands that the MPS program got, `get_server_list` left out. */
  readonly calls: () => ReadonlyArray<string>
  /** Environment that a runner was started with. */
  readonly envOf: (pid: number) => NodeJS.ProcessEnv
  /** A file of a GPU's pipe directory. */
  readonly mpsFile: (uuid: string, name: string) => string
  /** A file that changes how the scripts behave; without a text it is removed. */
  readonly set: (name: string, text?: string) => void
  readonly close: () => void
}

export const h200 = "GPU-11111111-2222-3333-4444-555555555555"
export const h200Line = `0, ${h200}, NVIDIA H200, 580.159.04, 143771, 771, 25, 120.50, Default, Disabled`
export const h200Probe: Extract<Probed, { readonly ok: true }> = {
  ok: true, name: "NVIDIA H200", units: 132, memoryBytes: 150 * 10 ** 9, computeCapability: [9, 0], driverVersion: 13000, smGroups: 16
}

/** Puts the fake host in place; `close` takes it away again, with every process of it. */
export const fakeNvidia = async (): Promise<FakeNvidia> => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-nv-"))
  const bin = path.join(folder, "bin")
  fs.mkdirSync(bin)
  fs.writeFileSync(path.join(bin, "nvidia-smi"), smiScript(folder), { mode: 0o755 })
  fs.writeFileSync(path.join(bin, "nvidia-cuda-mps-control"), mpsScript(folder), { mode: 0o755 })
  // Beside the dependencies, so that it finds them.
  const runnerPath = fileURLToPath(new URL(`../../../node_modules/.glet-test/fakeCudaRunner-${process.pid}.js`, import.meta.url))
  await build({
    entryPoints: [fileURLToPath(new URL("fakeCudaRunner.ts", import.meta.url))], outfile: runnerPath, bundle: true, platform: "node", format: "esm",
    target: "node20", external: ["koffi", "onnxruntime-node", "onnxruntime-common"], logLevel: "error"
  })
  const before = { ...process.env }
  process.env["PATH"] = `${bin}:${before["PATH"] ?? ""}`
  process.env["GLET_MPS_DIRECTORY"] = path.join(folder, "mps")
  process.env["GLET_FAKE_NVIDIA"] = folder
  delete process.env["CUDA_VISIBLE_DEVICES"]
  delete process.env["CUDA_MPS_PIPE_DIRECTORY"]
  const mpsFile = (uuid: string, name: string): string => path.join(folder, "mps", uuid, name)
  return {
    folder,
    runnerPath,
    setGpus: (lines, list = "") => {
      fs.writeFileSync(path.join(folder, "gpus.csv"), lines.map((line) => `${line}\n`).join(""))
      fs.writeFileSync(path.join(folder, "list.txt"), list)
    },
    setProbe: (probed, uuid) => fs.writeFileSync(path.join(folder, uuid === undefined ? "probe.json" : `probe-${uuid}.json`), JSON.stringify(probed)),
    calls: () => {
      try {
        return fs.readFileSync(path.join(folder, "calls.log"), "utf8").trim().split("\n").filter((line) => line !== "")
      } catch {
        return []
      }
    },
    envOf: (pid) => JSON.parse(fs.readFileSync(path.join(folder, `env-${pid}.json`), "utf8")) as NodeJS.ProcessEnv,
    mpsFile,
    set: (name, text) => {
      if (text === undefined) fs.rmSync(path.join(folder, name), { force: true })
      else fs.writeFileSync(path.join(folder, name), text)
    },
    close: () => {
      for (const uuid of fs.existsSync(path.join(folder, "mps")) ? fs.readdirSync(path.join(folder, "mps")) : []) {
        for (const name of ["nvidia-cuda-mps-control.pid", "server.pid"]) {
          try {
            process.kill(Number(fs.readFileSync(mpsFile(uuid, name), "utf8")), "SIGKILL")
          } catch {
            // It is gone, or was never there.
          }
        }
      }
      for (const name of Object.keys(process.env)) if (before[name] === undefined) delete process.env[name]
      Object.assign(process.env, before)
      fs.rmSync(folder, { recursive: true, force: true })
      fs.rmSync(runnerPath, { force: true })
    }
  }
}
