import { assert, describe, it } from "@effect/vitest"
import { lateMs, punctually } from "../../scripts/gpu/lib/punctually.mjs"

/** A measurement by clients that were so late, one after the other. */
const series = (...lags: ReadonlyArray<ReadonlyArray<number>>) => {
  const asked: Array<number> = []
  const measure = (before: number) => {
    asked.push(before)
    return Promise.resolve({ name: `measurement ${before}`, latencies: lags[before]!.map((sendLagP99Ms) => ({ sendLagP99Ms })) })
  }
  return { asked, measure }
}
const [early, late] = [lateMs, lateMs + 0.01]

describe("punctually", () => {
  it("measures once where no client is late", async () => {
    const { asked, measure } = series([0.1, early])
    const { lagsMs, lateClient, name } = await punctually(measure)
    assert.deepStrictEqual({ asked, lagsMs, lateClient, name }, { asked: [0], lagsMs: [early], lateClient: undefined, name: "measurement 0" })
  })

  it("measures again where one of several clients is late", async () => {
    const { asked, measure } = series([0.1, late], [early, 0.2])
    const { lagsMs, lateClient, name } = await punctually(measure)
    assert.deepStrictEqual({ asked, lagsMs, lateClient, name }, { asked: [0, 1], lagsMs: [late, early], lateClient: undefined, name: "measurement 1" })
  })

  it("takes the least late of three, and marks it", async () => {
    const { asked, measure } = series([3], [late], [2], [0])
    const { lagsMs, lateClient, name } = await punctually(measure)
    assert.deepStrictEqual({ asked, lagsMs, lateClient, name }, { asked: [0, 1, 2], lagsMs: [3, late, 2], lateClient: true, name: "measurement 1" })
  })

  it("begins no further one when the time is over", async () => {
    const { asked, measure } = series([3], [0])
    assert.isTrue((await punctually(measure, () => true)).lateClient)
    assert.deepStrictEqual(asked, [0])
  })

  it("has nothing to say of work without a latency", async () => {
    assert.isUndefined((await punctually(series([]).measure)).lateClient)
  })
})
