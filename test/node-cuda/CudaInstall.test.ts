import { afterAll, assert, beforeEach, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { CudaInstallOptions } from "../../src/node-cuda/CudaInstall.js"
import { install } from "../../src/node-cuda/CudaInstall.js"
import { receiptName } from "../../src/node-cuda/internal/ortProvider.js"
import type { WheelParts } from "./support/wheel.js"
import { recordOf, wheelBytes, writeWheel } from "./support/wheel.js"

const root = fs.mkdtempSync(path.join(os.tmpdir(), "glet-install-"))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

const shared = "libonnxruntime_providers_shared.so"
const cuda = "libonnxruntime_providers_cuda.so"
const version = "1.30.0"
/** The beginning of a library for this machine, or another. */
const elfHead = (machine = process.arch === "arm64" ? 183 : 62): Buffer => {
  const head = Buffer.alloc(64)
  head.write("\x7fELF", "latin1")
  head.writeUInt16LE(machine, 18)
  return head
}
const sharedBytes = Buffer.concat([elfHead(), Buffer.from("shared")])
// Larger than a stream's chunk, half of it not to be compressed.
const library = Buffer.concat([elfHead(), randomBytes(300_000), Buffer.from(`\0${version}\0`), Buffer.alloc(300_000)])
const files = { [`onnxruntime/capi/${shared}`]: sharedBytes, [`onnxruntime/capi/${cuda}`]: library }

let home: { readonly version: string; readonly folder: string }
let source: string
let count = 0
beforeEach(() => {
  home = { version, folder: path.join(root, `home-${++count}`) }
  source = path.join(root, `source-${count}`)
  fs.mkdirSync(home.folder)
  fs.mkdirSync(source)
})
const wheel = (parts: Partial<WheelParts> = {}, name = `onnxruntime_gpu-${version}-cp312-cp312-manylinux_2_28_x86_64.whl`): string =>
  writeWheel(path.join(source, name), { files, ...parts })
const installed = (options: Partial<CudaInstallOptions>) => install({ home, ...options })
const refused = (options: Partial<CudaInstallOptions>) =>
  Effect.map(Effect.flip(installed(options)), (error) => {
    assert.deepStrictEqual(fs.readdirSync(home.folder), [], "nothing is left behind")
    return error
  })
const assertPlaced = (): void => {
  assert.isTrue(fs.readFileSync(path.join(home.folder, cuda)).equals(library))
  assert.isTrue(fs.readFileSync(path.join(home.folder, shared)).equals(sharedBytes))
  assert.deepStrictEqual(fs.readdirSync(home.folder).sort(), [receiptName, cuda, shared].sort())
}

describe("CudaInstall", () => {
  it.live("takes both libraries out of a wheel, deflated or stored, and remembers what it put there", () =>
    Effect.gen(function*() {
      const first = yield* installed({ from: wheel() })
      assertPlaced()
      assert.isTrue(first.verified)
      assert.isFalse(first.wasThere)
      assert.isTrue(first.state.installed)
      assert.deepStrictEqual(JSON.parse(fs.readFileSync(path.join(home.folder, receiptName), "utf8")).sha256[cuda], createHash("sha256").update(library).digest("hex"))
      const again = yield* installed({ from: "/nowhere" })
      assert.isTrue(again.wasThere)
      const forced = yield* installed({ force: true, from: wheel({ stored: Object.keys(files) }) })
      assert.isFalse(forced.wasThere)
      assertPlaced()
    }))

  it.live("takes a folder with a wheel, a folder of an installed package, and bare libraries", () =>
    Effect.gen(function*() {
      wheel({ version: "1.29.0" }, "onnxruntime_gpu-1.29.0-cp312-cp312-manylinux_2_28_x86_64.whl")
      wheel()
      assert.isTrue((yield* installed({ from: source })).verified)
      assertPlaced()
      const packages = path.join(source, "site-packages")
      fs.mkdirSync(path.join(packages, "onnxruntime", "capi"), { recursive: true })
      for (const [name, bytes] of Object.entries(files)) fs.writeFileSync(path.join(packages, name), bytes)
      const bare = yield* installed({ force: true, from: path.join(packages, "onnxruntime", "capi") })
      assert.isFalse(bare.verified)
      fs.mkdirSync(path.join(packages, `onnxruntime_gpu-${version}.dist-info`))
      fs.writeFileSync(path.join(packages, `onnxruntime_gpu-${version}.dist-info`, "RECORD"), recordOf(files))
      assert.isTrue((yield* installed({ force: true, from: packages })).verified)
      assertPlaced()
    }))

  it.live("refuses another version, another package, changed files, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const other = yield* refused({ from: wheel({ version: "1.29.1" }) })
      assert.strictEqual(other.reason, "wrong-version")
      assert.include(other.message, "1.29.1")
      assert.strictEqual((yield* refused({ from: wheel({ name: "onnxruntime" }) })).reason, "wrong-version")
      const changed = yield* refused({ from: wheel({ record: (text) => text.replace(/(cuda\.so,sha256=)../, "$1xx") }) })
      assert.strictEqual(changed.reason, "hash-mismatch")
      const unknown = yield* refused({ from: wheel({ record: (text) => text.split("\n").filter((line) => !line.includes("cuda.so")).join("\n") }) })
      assert.strictEqual(unknown.reason, "hash-mismatch")
      const bare = path.join(source, "bare")
      fs.mkdirSync(bare)
      fs.writeFileSync(path.join(bare, shared), sharedBytes)
      fs.writeFileSync(path.join(bare, cuda), `\0${version}1\0`)
      assert.strictEqual((yield* refused({ from: bare })).reason, "wrong-version")
    }))

  it.live("refuses libraries of another machine, and what is no library", () =>
    Effect.gen(function*() {
      const other = { ...files, [`onnxruntime/capi/${cuda}`]: Buffer.concat([elfHead(process.arch === "arm64" ? 62 : 183), library.subarray(64)]) }
      const foreign = yield* refused({ from: wheel({ files: other }) })
      assert.strictEqual(foreign.reason, "wrong-platform")
      assert.match(foreign.message, /it is for (aarch64|x86_64), this host is (x86_64|aarch64)/)
      const text = yield* refused({ from: wheel({ files: { ...files, [`onnxruntime/capi/${shared}`]: Buffer.from("version https://git-lfs...") } }) })
      assert.strictEqual(text.reason, "wrong-platform")
    }))

  it.live("mends what was cut short since, and clears up after an installation that was killed", () =>
    Effect.gen(function*() {
      yield* installed({ from: wheel() })
      fs.truncateSync(path.join(home.folder, cuda), 1000)
      const dead = spawnSync("true").pid
      fs.writeFileSync(path.join(home.folder, `${cuda}.${dead}.partial`), "half")
      const again = yield* installed({ from: wheel() })
      assert.isFalse(again.wasThere)
      assertPlaced()
      assert.isTrue((yield* installed({ from: "/nowhere" })).wasThere)
    }))

  it.live("refuses what is no wheel, a broken one, and one that lies about sizes", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* refused({ from: path.join(source, "nowhere.whl") })).reason, "not-found")
      assert.strictEqual((yield* refused({ from: source })).reason, "not-found")
      const bytes = wheelBytes({ files })
      const broken = (content: Buffer): string => {
        fs.writeFileSync(path.join(source, "broken.whl"), content)
        return path.join(source, "broken.whl")
      }
      for (const content of [Buffer.alloc(0), Buffer.from("no zip"), bytes.subarray(0, 100_000), bytes.subarray(200_000)]) {
        assert.strictEqual((yield* refused({ from: broken(content) })).reason, "broken-wheel")
      }
      const longer = yield* refused({ from: wheel({ declaredBytes: { [`onnxruntime/capi/${cuda}`]: 1000 } }) })
      assert.strictEqual(longer.reason, "broken-wheel")
      const { [`onnxruntime/capi/${cuda}`]: _, ...without } = files
      assert.strictEqual((yield* refused({ from: wheel({ files: without }) })).reason, "broken-wheel")
    }))

  it.live("downloads by pip, by name and version, and says what pip says", () =>
    Effect.gen(function*() {
      const bin = path.join(source, "bin")
      fs.mkdirSync(bin)
      const calls = path.join(source, "calls")
      const python = (script: string) => fs.writeFileSync(path.join(bin, "python3"), `#!/bin/sh\necho "$@" >> ${calls}\n${script}\n`, { mode: 0o755 })
      const before = process.env["PATH"]
      process.env["PATH"] = `${bin}:${before}`
      yield* Effect.gen(function*() {
        // No build for the first Python asked for.
        python(`case "$*" in *"--python-version 3.12"*) echo "ERROR: No matching distribution found for onnxruntime-gpu" >&2; exit 1;; esac
while [ "$1" != --dest ]; do shift; done; cp ${wheel()} "$2/"`)
        const done = yield* installed({})
        assert.isTrue(done.verified)
        assertPlaced()
        const lines = fs.readFileSync(calls, "utf8").trim().split("\n")
        assert.strictEqual(lines.length, 2)
        assert.match(lines[1]!, /^-m pip download .*--no-deps .*--python-version 3\.13 .*onnxruntime-gpu==1\.30\.0$/)
        python("echo 'ERROR: Could not connect' >&2; exit 1")
        const offline = yield* Effect.flip(installed({ force: true }))
        assert.strictEqual(offline.reason, "pip-failed")
        assert.match(offline.message, /Could not connect.*--from/)
        assert.strictEqual(fs.readFileSync(calls, "utf8").trim().split("\n").length, 3)
      }).pipe(Effect.ensuring(Effect.sync(() => process.env["PATH"] = before)))
    }))
})
