/** Threads that create sessions and run them first: what they make is as any other, and what they refuse is told. */
import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { makeSlotLayout } from "../../../src/core/SlotLayout.js"
import { loadKoffi } from "../../../src/node-cuda/internal/native.js"
import { makeSessionThreads } from "../../../src/node-cuda/runner/cuda/sessionThreads.js"
import { loadOrt } from "../../../src/node-cuda/runner/OrtApi.js"
import type { OrtCSession, SessionThread } from "../../../src/node-cuda/runner/OrtCSession.js"
import { createSession } from "../../../src/node-cuda/runner/OrtCSession.js"
import { bindValues } from "../../../src/node-cuda/runner/ortValues.js"
import { lenet, lenetModel } from "../../contract/lenet.js"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const ort = loadOrt()
const threadFor = makeSessionThreads(new URL("../../../dist/runner.js", import.meta.url))
const layout = makeSlotLayout(lenetModel.signature)

/** Runs one digit, and checks its logits. */
const runDigit = async (session: OrtCSession, seed: number): Promise<string | undefined> => {
  const placement = layout.placement(1, [])
  const memory = new ArrayBuffer(placement.totalBytes + 64)
  const start = (64 - Number(loadKoffi().address(memory) % 64n)) % 64
  const part = (offsets: ReadonlyArray<number>, bytes: ReadonlyArray<number>) => new Uint8Array(memory, start + offsets[0]!, bytes[0])
  const request = { items: 1, seed, bindings: [], inputs: [part(placement.inputOffsets, placement.inputBytes)] }
  lenet.fill!(request)
  const values = bindValues(ort, ort.cpuMemory, layout, 1, [], placement, loadKoffi().address(memory) + BigInt(start))
  const problem = await new Promise<string | undefined>((resolve) => session.runAsync(values, null, resolve))
  values.release()
  if (problem === undefined) lenet.check!(request, [part(placement.outputOffsets, placement.outputBytes)], undefined)
  return problem
}

describe("makeSessionThreads", () => {
  it("makes sessions that answer as others do, in their first run and after", async () => {
    const sessions = await Promise.all([1, 2, 3, 4].map(() => createSession(ort, lenetModel.path, lenetModel.signature, { threads: 1, thread: threadFor() })))
    for (let seed = 0; seed < 3; seed++) {
      assert.deepStrictEqual(await Promise.all(sessions.map((session) => runDigit(session, seed))), sessions.map(() => undefined))
    }
    for (const session of sessions) session.release()
  })

  it("runs a session first where it was created, and on any thread once that went well", async () => {
    const made: Array<string> = []
    const thread = threadFor()
    let isBroken = true
    const watched: SessionThread = {
      create: (...args) => (made.push("create"), thread.create(...args)),
      run: (args) => (made.push("run"), isBroken ? Promise.reject(new Error("not now")) : thread.run(args))
    }
    const session = await createSession(ort, lenetModel.path, lenetModel.signature, { threads: 1, thread: watched })
    assert.strictEqual(await runDigit(session, 0), "not now")
    isBroken = false
    for (let seed = 0; seed < 3; seed++) assert.isUndefined(await runDigit(session, seed))
    assert.deepStrictEqual(made, ["create", "run", "run"])
    session.release()
  })

  it("says in onnxruntime's words what is no model, and goes on", async () => {
    const thread = threadFor()
    const failed = await createSession(ort, "/nowhere.onnx", lenetModel.signature, { threads: 1, thread }).then(() => undefined, (error: unknown) => error)
    assert.include(String(failed), "nowhere.onnx")
    const session = await createSession(ort, lenetModel.path, lenetModel.signature, { threads: 1, thread })
    assert.isUndefined(await runDigit(session, 1))
    session.release()
  })

  it("tells who waits that a thread ended", async () => {
    const thread = makeSessionThreads(new URL("../../../package.json", import.meta.url))()
    const failed = await createSession(ort, lenetModel.path, lenetModel.signature, { threads: 1, thread }).then(() => undefined, (error: unknown) => error)
    assert.include(String(failed), "the thread that runs sessions first ended")
  })

  it("keeps a process alive that waits for nothing else, until it has answered", async () => {
    const source = path.join(root, "src/node-cuda/runner")
    const script = path.join(fs.mkdtempSync(path.join(root, "node_modules/.cache/glet-waits-")), "waits.mjs")
    try {
      await build({
        bundle: true, platform: "node", format: "esm", target: "node20", outfile: script, external: ["koffi", "onnxruntime-node", "onnxruntime-common"], logLevel: "error",
        banner: { js: "import { createRequire as madeRequire } from 'node:module'; const require = madeRequire(import.meta.url);" },
        stdin: {
          resolveDir: source,
          contents: `
            import { makeSessionThreads } from "./cuda/sessionThreads.js"
            import { loadOrt } from "./OrtApi.js"
            const thread = makeSessionThreads(new URL(${JSON.stringify(new URL("../../../dist/runner.js", import.meta.url).href)}))()
            const { env, functions, make } = loadOrt()
            await thread.create(env, ${JSON.stringify(lenetModel.path)}, make(functions.CreateSessionOptions))
            console.log("created")`
        }
      })
      const { stdout } = await promisify(execFile)(process.execPath, [script])
      assert.strictEqual(stdout, "created\n")
    } finally {
      fs.rmSync(path.dirname(script), { recursive: true })
    }
  })
})
