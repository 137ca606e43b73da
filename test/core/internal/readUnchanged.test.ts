import { assert, describe, it } from "@effect/vitest"
import { LoadFailure } from "../../../src/core/internal/loadFailure.js"
import { readUnchanged } from "../../../src/core/internal/readUnchanged.js"
import type { FileStat } from "../../../src/core/ModelFile.js"
import { fileChange, modelFileOf } from "../../../src/core/ModelFile.js"

const at = (ms: number): bigint => BigInt(Date.UTC(2026, 0, 1) + ms) * 1_000_000n
const stat: FileStat = { size: 100n, mtimeNs: at(0), ctimeNs: at(1) }
const file = modelFileOf("/models/m.onnx", stat)

describe("fileChange", () => {
  it("is what differs from the load, as far as a file system tells", () => {
    assert.isUndefined(fileChange(file, { ...stat }))
    assert.strictEqual(fileChange(file, undefined), "/models/m.onnx is not there any more")
    assert.strictEqual(fileChange(file, { ...stat, size: 99n }), "/models/m.onnx has 99 bytes, and had 100 when it was loaded")
    assert.strictEqual(
      fileChange(file, { ...stat, mtimeNs: at(5000) }),
      "/models/m.onnx was written at 2026-01-01T00:00:05.000Z, and at 2026-01-01T00:00:00.000Z when it was loaded"
    )
    assert.strictEqual(fileChange(file, { ...stat, ctimeNs: at(7000) }), "/models/m.onnx was replaced or changed at 2026-01-01T00:00:07.000Z, after it was loaded")
    // One nanosecond is another number, however large.
    assert.isDefined(fileChange(file, { ...stat, mtimeNs: stat.mtimeNs + 1n }))
  })
})

describe("readUnchanged", () => {
  /** Files that change at so many-th look. */
  const play = async (changesAt: number, read: () => Promise<string>) => {
    let looks = 0
    const dropped: Array<string> = []
    const end = await readUnchanged(
      [file],
      () => ++looks >= changesAt ? Promise.reject(new Error("ENOENT")) : Promise.resolve(stat),
      read,
      (made) => Promise.resolve(void dropped.push(made))
    ).catch((error: unknown) => error)
    return { end, dropped }
  }
  const made = () => Promise.resolve("made")

  it("gives what was read of files that are as they were", async () => {
    assert.deepStrictEqual(await play(3, made), { end: "made", dropped: [] })
  })

  it("reads nothing of others, and drops what was read while they changed", async () => {
    let reads = 0
    for (const [changesAt, dropped] of [[1, []], [2, ["made"]]] as ReadonlyArray<readonly [number, Array<string>]>) {
      const seen = await play(changesAt, () => {
        reads++
        return made()
      })
      assert(seen.end instanceof LoadFailure)
      assert.strictEqual(seen.end.reason, "changed")
      assert.strictEqual(seen.end.message, "/models/m.onnx is not there any more")
      assert.deepStrictEqual(seen.dropped, dropped)
    }
    assert.strictEqual(reads, 1)
  })

  it("blames the change for what went wrong meanwhile, and the file where there was none", async () => {
    const broken = () => Promise.reject(new LoadFailure("invalid-model", "it is cut off"))
    const changed = (await play(2, broken)).end
    assert(changed instanceof LoadFailure && changed.reason === "changed")
    const invalid = (await play(9, broken)).end
    assert(invalid instanceof LoadFailure && invalid.reason === "invalid-model")
  })
})
