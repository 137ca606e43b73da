import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as net from "node:net"
import type { AddressInfo } from "node:net"
import * as path from "node:path"
import { specs } from "../../src/cli/specs/all.js"
import type { Ended, Glet } from "./support/glet.js"
import { buildGlet, demoModels, root } from "./support/glet.js"

let glet: Glet
beforeAll(async () => {
  glet = await buildGlet()
})
afterAll(() => glet.close())

/** One line of message, nothing on stdout, the exit code. */
const assertRefused = (ended: Ended, code: number, text: RegExp): void => {
  assert.strictEqual(ended.code, code, ended.stderr)
  assert.strictEqual(ended.stdout, "")
  assert.match(ended.stderr, text)
  assert.strictEqual(ended.stderr.trimEnd().split("\n").length, 1, `one line, not: ${ended.stderr}`)
  assert.notMatch(ended.stderr, /\n\s+at /)
}

/** The same of many command lines. */
const assertAllRefused = async (code: number, lines: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]>): Promise<void> => {
  const all = await glet.runMany(lines.map(([args]) => args))
  lines.forEach(([, text], i) => assertRefused(all[i]!, code, text))
}

describe("glet", () => {
  it("prints help and version on stdout, and help on stderr without a command", async () => {
    const help = await glet.run(["--help"])
    assert.strictEqual(help.code, 0)
    assert.strictEqual(help.stderr, "")
    for (const spec of specs) {
      if (spec.hidden !== true) assert.include(help.stdout, `  ${spec.name}`)
      else assert.notInclude(help.stdout, spec.name)
    }
    const version = await glet.run(["--version"])
    const { version: expected } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as { readonly version: string }
    assert.strictEqual(version.stdout, `${expected}\n`)
    const none = await glet.run([])
    assert.strictEqual(none.code, 2)
    assert.strictEqual(none.stdout, "")
    assert.include(none.stderr, "Examples")
  })

  it("the help of a command begins with examples and names every option", async () => {
    const shown = specs.filter((one) => one.hidden !== true)
    const all = await glet.runMany(shown.map(({ name }) => [name, "--help"]))
    for (const [i, spec] of shown.entries()) {
      const { code, stdout } = all[i]!
      assert.strictEqual(code, 0)
      assert.isBelow(stdout.indexOf("Examples"), stdout.indexOf("Options"))
      for (const key of Object.keys(spec.flags)) assert.include(stdout, `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`)
    }
    assert.include((await glet.run(["plan", "--help"])).stdout, "orion")
  }, 180_000)

  it("is plain without a terminal and coloured only when asked", async () => {
    assert.notInclude((await glet.run(["--help"])).stdout, "\u001b[")
    assert.include((await glet.run(["--help"], { env: { FORCE_COLOR: "1" } })).stdout, "\u001b[")
    assert.notInclude((await glet.run(["--help"], { env: { FORCE_COLOR: "1", NO_COLOR: "1" } })).stdout, "\u001b[")
  })

  it("writes completions for every command", async () => {
    for (const { code, stdout } of await glet.runMany(["bash", "zsh", "fish"].map((shell) => ["--completions", shell]))) {
      assert.strictEqual(code, 0)
      for (const name of ["serve", "bench", "doctor"]) assert.include(stdout, name)
    }
  })

  it("wrong usage is one line with what was meant, and exit code 2", async () => {
    assertRefused(await glet.run(["srve"]), 2, /unknown command "srve"; did you mean "serve"\?/)
    await assertAllRefused(2, [
      [["srve"], /unknown command "srve"; did you mean "serve"\?/],
      [["--bogus"], /unknown option "--bogus"/],
      [["serve", "--modls", "x"], /unknown option "--modls"; did you mean "--models"\?/],
      [["serve", "--model-repository=x"], /unknown option "--model-repository"; did you mean "--models"\?/],
      [["plan", "--http-port", "1"], /unknown option "--http-port"; see/],
      [["serve"], /--models is missing/],
      [["serve", "--models", "x", "--port", "http"], /--port "http" is not a whole number/],
      [["serve", "--models", "x", "--port", "70000"], /--port 70000 is above/],
      [["serve", "--models", demoModels, "--slo", "lenet"], /--slo "lenet" is not of the form MODEL=MS/],
      [["serve", "--models", demoModels, "--slo", "lenet=fast"], /--slo lenet: expected milliseconds/],
      [["serve", "--models", demoModels, "--planner", "orin"], /no planner "orin".*did you mean "orion"/],
      [["serve", "--models", demoModels, "--executor", "emulated"], /--emulate FILE/],
      [["serve", "--models", demoModels, "--preempt", "0.5"], /--preempt needs --executor emulated/],
      [["bench"], /MODEL is missing/],
      [["bench", "m", "--scenario", "scen2"], /"m" and --scenario exclude each other/],
      [["bench", "--scenario", "scen2", "--rate", "5"], /--rate and --scenario exclude each other/],
      [["bench", "m", "--rate", "5", "--clients", "2"], /--rate and --clients exclude each other/],
      [["bench", "m", "--deadline", "5", "--input", "x.json"], /--deadline and --input exclude each other/],
      [["serve", "--models", demoModels, "--overlay", "50", "--planner", "time-share"], /--overlay is of the planner orion, not time-share/],
      [["serve", "--models", demoModels, "--best-effort", "open", "--floor", "5"], /--best-effort open keeps no floor/],
      [["bench", "--scenario", "scen22"], /there is no scenario "scen22"; did you mean "scen2"/],
      [["bench", "m", "--find-peak"], /--find-peak goes with --scenario/],
      [["bench", "m", "n"], /unexpected word "n"/],
      [["bench", "m", "--rate"], /--rate needs a value/],
      [["bench", "m", "--n", "-5"], /--n -5 is below 0/],
      [["bench", "m", "--rate=1", "--rate", "2"], /--rate stands twice/],
      [["bench", "m", "--distribution", "unifrm"], /did you mean "uniform"/],
      [["status", "--server", "ftp://x"], /--server "ftp:\/\/x" is not an address/],
      [["config", "edit"], /ACTION "edit" is not one of show/],
      [["plan"], /one of --problem and --models/]
    ])
  }, 180_000)

  it("what cannot be used is one line and exit code 1", async () => {
    const notAFolder = path.join(root, "package.json")
    const trace = path.join(glet.folder, "trace.txt")
    fs.writeFileSync(trace, "10\n5\n")
    const rates = path.join(glet.folder, "rates.txt")
    fs.writeFileSync(rates, "10\nten\n")
    await assertAllRefused(1, [
      [["serve", "--models", "/no/such/folder"], /model folder \/no\/such\/folder cannot be used: it does not exist/],
      [["serve", "--models", notAFolder], /it is a file, not a folder/],
      [["run", "/no/model.onnx"], /no such file/],
      [["run", notAFolder], /package\.json/],
      [["models", "--server", "http://127.0.0.1:9"], /no server answers at http:\/\/127\.0\.0\.1:9 \(ECONNREFUSED\)/],
      [["bench", "m", "--csv", "/no/such/dir/x.csv"], /CSV file .* cannot be written/],
      [["bench", "m", "--rate-file", "/no/rates"], /rate file \/no\/rates cannot be read: it does not exist/],
      [["bench", "m", "--trace", trace, "--server", "http://127.0.0.1:9"], /trace\.txt:2: 5 ms stands after a later time/],
      [["bench", "m", "--rate-file", rates], /rates\.txt:2: "ten" is not a rate/]
    ])
  }, 180_000)

  it("another program on the server's port is told from a server", async () => {
    const other = net.createServer((socket) => {
      socket.on("error", () => undefined)
      socket.resume().end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    })
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve))
    const { port } = other.address() as AddressInfo
    assertRefused(await glet.run(["status", "--server", `http://127.0.0.1:${port}`]), 1, /answered something else than expected: apiVersion/)
    await new Promise((resolve) => other.close(resolve))
  })

  it("config show tells each value's source", async () => {
    const file = path.join(glet.folder, "config.json")
    fs.writeFileSync(file, JSON.stringify({ apiVersion: "glet/v1alpha1", server: { maxBodyBytes: 4096, port: 1111 } }))
    const { code, stdout } = await glet.run(["config", "show", "--json", "--config", file, "--port", "2222"], { env: { GLET_HOST: "::1" } })
    assert.strictEqual(code, 0)
    const { apiVersion, settings } = JSON.parse(stdout) as {
      readonly apiVersion: string
      readonly settings: ReadonlyArray<{ readonly name: string; readonly value: unknown; readonly source: string }>
    }
    assert.strictEqual(apiVersion, "glet/v1alpha1")
    const of = (name: string) => settings.find((setting) => setting.name === name)
    assert.deepInclude(of("port"), { value: 2222, source: "flag" })
    assert.deepInclude(of("host"), { value: "::1", source: "env" })
    assert.deepInclude(of("maxBodyBytes"), { value: 4096, source: "file" })
    assert.deepInclude(of("gzipMinBytes"), { source: "default" })
    fs.writeFileSync(file, JSON.stringify({ apiVersion: "glet/v1alpha1", models: { lenet: { sloMs: -1 } } }))
    assertRefused(await glet.run(["config", "show", "--config", file]), 1, /models\.lenet\.sloMs/)
    assertRefused(await glet.run(["config", "show"], { env: { GLET_PORT: "web" } }), 2, /GLET_PORT/)
  })

  it("doctor finds what the tests themselves need", async () => {
    const text = await glet.run(["doctor"])
    assert.strictEqual(text.code, 0, text.stderr)
    const { stdout } = await glet.run(["doctor", "--json"])
    const report = JSON.parse(stdout) as { readonly healthy: boolean; readonly checks: ReadonlyArray<{ readonly name: string; readonly state: string; readonly mend?: string }> }
    assert.isTrue(report.healthy)
    for (const name of ["node", "onnxruntime", "shared memory", "cores"]) assert.include(report.checks.map((check) => check.name), name)
    for (const check of report.checks) assert.strictEqual(check.mend === undefined, check.state === "ok", check.name)
  })
})
