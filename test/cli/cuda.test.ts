/** `glet doctor`, `glet cuda` and `glet serve --executor cuda` on a faked host. */
import { afterAll, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { FakeNvidia } from "../node-cuda/support/fakeNvidia.js"
import { fakeNvidia, h200, h200Line, h200Probe } from "../node-cuda/support/fakeNvidia.js"
import { wheelBytes } from "../node-cuda/support/wheel.js"
import type { Glet } from "./support/glet.js"
import { buildGlet, demoModels } from "./support/glet.js"

interface Check {
  readonly name: string
  readonly state: string
  readonly essential: boolean
  readonly found: string
  readonly mend?: string
  readonly fixable: boolean
}

let glet: Glet
let host: FakeNvidia
const env = () => ({
  PATH: process.env["PATH"], GLET_FAKE_NVIDIA: process.env["GLET_FAKE_NVIDIA"], GLET_MPS_DIRECTORY: process.env["GLET_MPS_DIRECTORY"]
})
beforeAll(async () => {
  host = await fakeNvidia()
  glet = await buildGlet()
  // What asks the driver.
  fs.copyFileSync(host.runnerPath, path.join(glet.folder, "bin", "runner.js"))
}, 180_000)
afterAll(async () => {
  await glet.close()
  host.close()
})
beforeEach(() => {
  host.setGpus([h200Line])
  host.setProbe(h200Probe)
  host.set("smi-broken")
})

const doctor = async (...flags: ReadonlyArray<string>) => {
  const { code, stderr, stdout } = await glet.run(["doctor", "--json", ...flags], { env: env() })
  const report = JSON.parse(stdout) as { readonly healthy: boolean; readonly checks: ReadonlyArray<Check> }
  const check = (name: string): Check => {
    const found = report.checks.find((one) => one.name === name)
    assert(found !== undefined, `no check "${name}" among ${report.checks.map((one) => one.name).join(", ")}`)
    return found
  }
  return { code, stderr, report, check }
}

describe("glet on a host with NVIDIA GPUs", () => {
  it("doctor looks at GPU, isolation, MPS, provider and limits, and says how to mend each", async () => {
    const { check, code, report } = await doctor()
    assert.strictEqual(code, 0, "CUDA is not essential unless it is asked for")
    assert.match(check("GPU 0").found, /NVIDIA H200, 132 SMs, 139\.\d GiB, driver 580\.159\.04, CUDA 13\.0/)
    assert.match(check("GPU 0 isolation").found, /auto is mps/)
    assert.match(check("MPS").found, /no daemon runs/)
    assert.deepInclude(check("CUDA provider"), { state: "missing", essential: false, fixable: true })
    assert.include(check("CUDA provider").mend ?? "", "glet cuda install")
    check("locked memory")
    for (const one of report.checks) assert.strictEqual(one.mend === undefined, one.state === "ok", one.name)
    const asked = await doctor("--cuda")
    assert.strictEqual(asked.code, 4)
    assert.include(asked.stderr, "CUDA provider")
  })

  it("doctor says which GPUs CUDA_VISIBLE_DEVICES leaves, and what is wrong with its names", async () => {
    host.setGpus([h200Line, h200Line.replace("0, GPU-1", "1, GPU-2")])
    const { stdout } = await glet.run(["doctor", "--json"], { env: { ...env(), CUDA_VISIBLE_DEVICES: `${h200},7` } })
    const seen = (JSON.parse(stdout) as { readonly checks: ReadonlyArray<Check> }).checks.find(({ name }) => name === "CUDA_VISIBLE_DEVICES")
    assert.deepInclude(seen, { state: "limited", found: `"${h200},7": 1 of 2` })
    assert.include(seen?.mend, '"7"')
  })

  it("doctor explains compute modes, a device that cannot be used, and a driver out of step", async () => {
    host.setGpus([h200Line.replace("Default", "Exclusive_Process")])
    assert.deepInclude((await doctor()).check("GPU 0 compute mode"), { state: "limited", found: "Exclusive_Process" })
    host.setGpus([h200Line.replace("Default", "Prohibited")])
    assert.deepInclude((await doctor()).check("GPU 0 compute mode"), { state: "missing" })
    host.setGpus([h200Line])
    host.setProbe({ ok: false, detail: "cuInit failed with CUDA_ERROR_NO_DEVICE (100)" })
    assert.include((await doctor()).check("GPU 0").found, "CUDA_ERROR_NO_DEVICE")
    host.set("smi-broken", "Driver/library version mismatch")
    const broken = (await doctor("--cuda")).check("GPUs")
    assert.include(broken.found, "version mismatch")
    assert.strictEqual(broken.state, "missing")
  })

  it("doctor finds what a killed MPS daemon left, and removes it", async () => {
    const directory = path.dirname(host.mpsFile(h200, "control"))
    fs.mkdirSync(directory, { recursive: true })
    fs.writeFileSync(path.join(directory, "control"), "")
    assert.deepInclude((await doctor()).check("MPS"), { state: "limited", fixable: true })
    // The provider is not there either, and would be downloaded.
    const mended = await glet.run(["doctor", "--fix", "--json"], { env: { ...env(), PATH: `${path.join(host.folder, "bin")}` } })
    assert.include(mended.stderr, `MPS: removed ${directory}`)
    assert.include(mended.stderr, "CUDA provider: could not be mended: pip")
    assert.isFalse(fs.existsSync(directory))
  })

  it("doctor tells a daemon in trouble from one at work; the scripts start and stop one", async () => {
    const script = (name: string) => spawnSync(fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url)), [h200, "1"], { encoding: "utf8", env: { ...process.env, ...env() } })
    // nvidia-smi -i, which the fake does not know.
    fs.writeFileSync(path.join(host.folder, "gpus.csv"), `${h200}\n`)
    const started = script("mps-start")
    assert.strictEqual(started.status, 0, started.stderr)
    assert.strictEqual(started.stdout.trim(), `export CUDA_VISIBLE_DEVICES=${h200} CUDA_MPS_PIPE_DIRECTORY=${path.dirname(host.mpsFile(h200, "control"))}`)
    assert.include(script("mps-start").stderr, "runs already")
    host.setGpus([h200Line])
    assert.match((await doctor()).check("MPS").found, /daemon \d+ in .*, server ACTIVE/)
    const client = spawn("sleep", ["60"])
    fs.writeFileSync(host.mpsFile(h200, `clients/${client.pid}`), "")
    fs.writeFileSync(host.mpsFile(h200, "status"), "FAULT")
    assert.strictEqual((await doctor()).check("MPS").state, "limited")
    fs.writeFileSync(path.join(host.folder, "gpus.csv"), `${h200}\n`)
    const used = script("mps-stop")
    assert.strictEqual(used.status, 1)
    assert.include(used.stderr, String(client.pid))
    client.kill("SIGKILL")
    await new Promise((resolve) => client.once("close", resolve))
    const stopped = script("mps-stop")
    assert.strictEqual(stopped.status, 0, stopped.stderr)
    assert.include(script("mps-stop").stdout, "no MPS daemon")
  })

  it("serve does not start on CUDA where it cannot compute on it, and never on the CPU instead", async () => {
    const refused = await glet.run(["serve", "--models", demoModels, "--executor", "cuda", "--port", "0"], { env: env() })
    assert.strictEqual(refused.code, 4)
    assert.strictEqual(refused.stdout, "")
    assert.match(refused.stderr, /CUDA provider: it is not in .*; run glet cuda install/)
    host.setProbe({ ...h200Probe, smGroups: 0 })
    const green = await glet.run(["serve", "--models", demoModels, "--executor", "cuda", "--isolation", "green", "--port", "0"], { env: env() })
    assert.strictEqual(green.code, 4)
    assert.match(green.stderr, /green contexts/)
    const none = await glet.run(["serve", "--models", demoModels, "--executor", "cuda"], { env: { ...env(), PATH: "/nowhere" } })
    assert.strictEqual(none.code, 4)
    assert.match(none.stderr, /nvidia-smi is not there; install the NVIDIA driver/)
  })

  it("serve refuses a memory limit that nobody enforces", async () => {
    for (const flags of [[], ["--executor", "cuda"], ["--executor", "cuda", "--isolation", "green"]]) {
      const refused = await glet.run(["serve", "--models", demoModels, "--glet-memory", "2048", ...flags], { env: env() })
      assert.strictEqual(refused.code, 2)
      assert.include(refused.stderr, "--glet-memory needs --executor cuda --isolation mps")
    }
  })

  it("cuda install says what is wrong with what it is given", async () => {
    const old = path.join(glet.folder, "old.whl")
    fs.writeFileSync(old, wheelBytes({ version: "0.1.0", files: {} }))
    const wrong = await glet.run(["cuda", "install", "--from", old], { env: env() })
    assert.strictEqual(wrong.code, 1)
    assert.match(wrong.stderr, /old\.whl: it is version 0\.1\.0, onnxruntime-node is \d+\.\d+\.\d+: they must be equal/)
    const missing = await glet.run(["cuda", "install", "--from", "/nowhere"], { env: env() })
    assert.strictEqual(missing.code, 1)
    assert.strictEqual((await glet.run(["cuda", "uninstall"])).code, 2)
  })
})
