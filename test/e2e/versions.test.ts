/** Versions by their paths: one serves until the next does, and from then on it does not; where the next is no good, it goes on. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { call } from "../support/http.js"
import { denseModel } from "../support/onnx.js"
import { tempFolder, writeFiles } from "./support/folder.js"
import { cpuStack } from "./support/stack.js"

const bodyOf = (width: number): string => JSON.stringify({ inputs: [{ name: "x", shape: [1, width], datatype: "FP32", data: Array.from({ length: width }, (_, i) => i) }] })

/** What a client saw on one look at everything. */
interface Look {
  /** By the model's own path: status, and version of the answer. */
  readonly plain: string
  /** By the path of each version: infer, ready, metadata, statistics. */
  readonly byVersion: ReadonlyArray<string>
  /** Lines of the index. */
  readonly index: string
}

const look = async (port: number, versions: ReadonlyArray<number>, width: number): Promise<Look> => {
  const body = bodyOf(width)
  const plain = await call(port, { path: "/v2/models/m/infer", body })
  const byVersion: Array<string> = []
  for (const version of versions) {
    const path = `/v2/models/m/versions/${version}`
    const infer = await call(port, { path: `${path}/infer`, body })
    if (infer.status === 200) assert.strictEqual(infer.json.model_version, String(version))
    // One after the other, each after the one before: what was gone does not come back.
    const others: Array<number> = []
    for (const rest of ["/ready", "", "/stats"]) others.push((await call(port, { path: `${path}${rest}` })).status)
    byVersion.push([infer.status, ...others].join(" "))
  }
  const index = await call(port, { method: "POST", path: "/v2/repository/index", body: "{}" })
  const lines = JSON.parse(index.body.toString()) as ReadonlyArray<{ readonly version: string; readonly state: string }>
  return { plain: `${plain.status} ${plain.json.model_version}`, byVersion, index: lines.map(({ state, version }) => `${version} ${state}`).join(", ") }
}

const good = "200 200 200 200"
const unready = "503 503 503 503"
const gone = "404 404 404 404"

/** The index is what each look ended with: what was seen before it was so while the old one served, what comes after a look that ended with the new one is the new one's. */
const assertHandedOver = (seen: ReadonlyArray<Look>, old: number, next: number): void => {
  const during = seen.filter(({ index }) => index === `${old} READY, ${next} LOADING`)
  assert.isAbove(during.length, 1, "it was looked at while the next one was loaded")
  for (const { byVersion, plain } of during) assert.deepStrictEqual([plain, byVersion[0]], [`200 ${old}`, good])
  // The first may have begun before anybody knew that it comes.
  for (const { byVersion } of during.slice(1)) assert.strictEqual(byVersion[1], unready)
  const from = seen.findIndex(({ index }) => index === `${next} READY`)
  if (from >= 0) for (const { byVersion, plain } of seen.slice(from + 1)) assert.deepStrictEqual([plain, byVersion], [`200 ${next}`, [gone, good]])
}

describe.each([0, 2])("versions of a model, requests read by %i fronts", (fronts) => {
  it.scopedLive("each is served by its path until the next one takes its place", () =>
    Effect.gen(function*() {
      const directory = yield* tempFolder({ "m/1/model.onnx": denseModel(2, 64, 1) })
      const { port } = yield* cpuStack({ directory, cores: 2, config: { fronts }, profileBudgetMs: 1000, models: { m: { sloMs: 20_000, rateRps: 20 } } })
      /** Looks all the time while version `next` is loaded; answers the load's status, and what was seen from its start to its end. */
      const watchLoad = async (current: number, next: number, width: number, config?: object) => {
        let status: number | undefined
        const seen: Array<Look> = []
        const body = JSON.stringify(config === undefined ? {} : { parameters: { config: JSON.stringify(config) } })
        const loading = call(port, { path: "/v2/repository/models/m/load", body }).then((answer) => void (status = answer.status))
        while (status === undefined) seen.push(await look(port, [current, next], width))
        await loading
        return { status, seen }
      }
      yield* Effect.promise(async () => {
        writeFiles(directory, { "m/2/model.onnx": denseModel(2, 64, 20) })
        const { seen, status } = await watchLoad(1, 2, 64)
        assert.strictEqual(status, 200)
        assertHandedOver(seen, 1, 2)
        assert.deepStrictEqual(await look(port, [1, 2], 64), { plain: "200 2", byVersion: [gone, good], index: "2 READY" })
      })

      // One that takes other tensors: what is asked of version 2 is no request of 3's, so the last look is for that.
      yield* Effect.promise(async () => {
        writeFiles(directory, { "m/3/model.onnx": denseModel(2, 32, 30) })
        const { seen, status } = await watchLoad(2, 3, 64)
        assert.strictEqual(status, 200)
        const until = seen.findIndex(({ index }) => index === "3 READY")
        assertHandedOver(until < 0 ? seen : seen.slice(0, until), 2, 3)
        assert.deepStrictEqual(await look(port, [2, 3], 32), { plain: "200 3", byVersion: [gone, good], index: "3 READY" })
      })

      // One that is not taken, since no plan could keep its objective: nobody notices.
      yield* Effect.promise(async () => {
        writeFiles(directory, { "m/4/model.onnx": denseModel(2, 64, 40) })
        const { seen, status } = await watchLoad(3, 4, 32, { parameters: { "glet.slo_ms": { string_value: "0.0001" } } })
        assert.strictEqual(status, 503)
        assert.isNotEmpty(seen.filter(({ index }) => index === "3 READY, 4 LOADING"))
        for (const { byVersion: [old, coming], plain } of seen) {
          assert.deepStrictEqual([plain, old], ["200 3", good])
          assert.notInclude(coming, "200")
        }
        assert.deepStrictEqual(await look(port, [3, 4], 32), { plain: "200 3", byVersion: [good, gone], index: "3 READY" })
      })
    }), 120_000)
})
