/** What the agent tells runners of clients' memory, and what it makes of their answers. */
import { assert, describe, it } from "@effect/vitest"
import type { ClientObject } from "../../../src/core/ClientMemory.js"
import type { ControlReply, ControlRequest } from "../../../src/node-cuda/internal/control.js"
import type { RunnerExit } from "../../../src/node-cuda/internal/runnerLink.js"
import { RunnerRegions } from "../../../src/node-cuda/internal/runnerRegions.js"

const object: ClientObject = { name: "/images", path: "/dev/shm/images", device: 1, inode: 2, isWritable: true, endBytes: 4096 }

const runner = () => {
  const asked: Array<{ readonly request: ControlRequest; readonly reply: (reply: ControlReply | RunnerExit) => void }> = []
  return {
    asked,
    exit: undefined,
    onRegionLost: (_: number): void => undefined,
    request: (request: ControlRequest, reply: (reply: ControlReply | RunnerExit) => void) => {
      asked.push({ request, reply })
      return () => undefined
    }
  }
}
const direct: ControlReply = { ok: true, isDirect: true }
const died: RunnerExit = { code: undefined, signal: "SIGKILL", detail: "" }

const setUp = (count: number) => {
  const notes: Array<string> = []
  const regions = new RunnerRegions(true, (note) => notes.push(note))
  const runners = Array.from({ length: count }, runner)
  for (const one of runners) regions.add(one)
  const said: Array<boolean> = []
  const region = regions.open(object, (isDirect) => said.push(isDirect))
  return { notes, regions, runners, said, region }
}

describe("RunnerRegions", () => {
  it("leaves tensors to glets once all runners that were there reach them", () => {
    const { region, runners, said } = setUp(2)
    assert.deepStrictEqual(runners[0]!.asked[0]!.request, { type: "region", region: region.number, object })
    runners[0]!.asked[0]!.reply(direct)
    assert.deepStrictEqual(said, [])
    runners[1]!.asked[0]!.reply(direct)
    assert.deepStrictEqual(said, [true])
  })

  it("does so at once where no runner is up, and not for one that dies before it says anything", () => {
    assert.deepStrictEqual(setUp(0).said, [true])
    const { runners, said } = setUp(2)
    runners[0]!.asked[0]!.reply(died)
    runners[1]!.asked[0]!.reply(direct)
    assert.deepStrictEqual(said, [true])
    const gone = setUp(1)
    gone.regions.remove(gone.runners[0]!)
    assert.deepStrictEqual(gone.said, [true])
  })

  it("never does where one refuses, and says why, once", () => {
    for (const refusal of [{ ok: true, isDirect: false, note: "no memory" }, { ok: false, detail: "no memory" }] satisfies ReadonlyArray<ControlReply>) {
      const { notes, runners, said } = setUp(2)
      runners[0]!.asked[0]!.reply(refusal)
      runners[1]!.asked[0]!.reply(refusal)
      assert.deepStrictEqual(said, [])
      assert.strictEqual(notes.length, 1)
      assert.include(notes[0], "/images")
      assert.include(notes[0], "no memory")
    }
  })

  it("does not wait for a runner that comes later, but heeds its refusal", () => {
    const { regions, runners, said } = setUp(1)
    runners[0]!.asked[0]!.reply(direct)
    const later = runner()
    regions.add(later)
    assert.strictEqual(later.asked[0]!.request.type, "region")
    assert.deepStrictEqual(said, [true])
    later.asked[0]!.reply({ ok: true, isDirect: false, note: "no memory" })
    assert.deepStrictEqual(said, [true, false])
  })

  it("gives up a region whose owner has shrunk it", () => {
    const { region, runners, said } = setUp(1)
    runners[0]!.asked[0]!.reply(direct)
    runners[0]!.onRegionLost(region.number)
    runners[0]!.onRegionLost(region.number + 1)
    assert.deepStrictEqual(said, [true, false])
  })

  it("has all runners forget what is released, and tells nobody of it any more", () => {
    const { region, regions, runners, said } = setUp(2)
    runners[0]!.asked[0]!.reply(direct)
    region.release()
    region.release()
    runners[1]!.asked[0]!.reply(direct)
    assert.deepStrictEqual(said, [])
    for (const { asked } of runners) {
      assert.deepStrictEqual(asked.map(({ request }) => request.type), ["region", "forget-region"])
    }
    const later = runner()
    regions.add(later)
    assert.deepStrictEqual(later.asked, [])
    assert.notStrictEqual(regions.open(object, () => {}).number, region.number)
  })
})
