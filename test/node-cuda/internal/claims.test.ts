import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeGpuId } from "../../../src/core/Ids.js"
import type { ClaimsPlace } from "../../../src/node-cuda/internal/claims.js"
import { Claims, claimsBytes, ClaimsPlaces, sumOffset } from "../../../src/node-cuda/internal/claims.js"
import { floorPeriodMs, keepFloor } from "../../../src/node-cuda/internal/claimsFloor.js"
import { vi } from "vitest"

const gpus = [unsafeGpuId("a"), unsafeGpuId("b"), unsafeGpuId("c")]
const sumOf = (memory: ArrayBufferLike, place: ClaimsPlace): number => 0 - new Int32Array(memory, sumOffset(place), 1)[0]!

describe("claims", () => {
  it("the sum of a GPU is what its runners claim, and a runner's death takes back its own", () => {
    const step = fc.record({ gpu: fc.nat(2), runner: fc.nat(4), act: fc.constantFrom("start", "claim", "die"), percent: fc.integer({ min: 1, max: 100 }) })
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const memory = new ArrayBuffer(claimsBytes)
      const places = new ClaimsPlaces(memory)
      const runners = new Map<string, { readonly gpu: number; readonly place: ClaimsPlace; readonly claims: Claims; claimed: number }>()
      for (const { act, gpu, percent, runner } of steps) {
        const key = `${gpu} ${runner}`
        const known = runners.get(key)
        if (act === "start" && known === undefined) {
          const place = places.take(gpus[gpu]!)!
          runners.set(key, { gpu, place, claims: new Claims(memory, place), claimed: 0 })
        } else if (act === "claim" && known !== undefined) {
          known.claims.add(percent)
          known.claimed += percent
        } else if (act === "die" && known !== undefined) {
          places.release(gpus[gpu]!, known.place)
          runners.delete(key)
        }
        for (let g = 0; g < gpus.length; g++) {
          const here = [...runners.values()].filter((each) => each.gpu === g)
          const words = here.map(({ place }) => `${place.line} ${place.word}`)
          assert.strictEqual(new Set(words).size, words.length, "each has a word of its own")
          assert.strictEqual(new Set(here.map(({ place }) => place.line)).size, Math.min(1, here.length), "a GPU has one line")
          if (here.length > 0) assert.strictEqual(sumOf(memory, here[0]!.place), here.reduce((sum, { claimed }) => sum + claimed, 0))
        }
      }
    }))
  })

  it("there are 63 places on a GPU, and GPUs beyond 64 have none", () => {
    const places = new ClaimsPlaces(new ArrayBuffer(claimsBytes))
    for (let i = 0; i < 63; i++) assert.isDefined(places.take(gpus[0]!))
    assert.isUndefined(places.take(gpus[0]!))
    for (let i = 0; i < 63; i++) assert.isDefined(places.take(unsafeGpuId(`more ${i}`)))
    assert.isUndefined(places.take(unsafeGpuId("one more")))
  })

  it("the floor lets everything through one part in a hundred of the time, and leaves nothing behind", () => {
    vi.useFakeTimers()
    try {
      const memory = new ArrayBuffer(claimsBytes)
      const place = new ClaimsPlaces(memory).take(gpus[0]!)!
      const claims = new Claims(memory, place)
      const isLetThrough = (): boolean => sumOf(memory, place) < 0
      for (const endAfterMs of [10 * floorPeriodMs, floorPeriodMs + 0.5]) {
        const end = keepFloor(claims)
        let openMs = 0
        for (let ms = 0; ms < endAfterMs; ms++) {
          vi.advanceTimersByTime(1)
          if (isLetThrough()) openMs++
        }
        assert.isAtLeast(openMs, Math.floor(endAfterMs / (floorPeriodMs + 1)))
        assert.isAtMost(openMs, 0.02 * endAfterMs + 1)
        end()
        assert.strictEqual(sumOf(memory, place), 0)
        vi.advanceTimersByTime(10 * floorPeriodMs)
        assert.strictEqual(sumOf(memory, place), 0)
      }
    } finally {
      vi.useRealTimers()
    }
  })
})
