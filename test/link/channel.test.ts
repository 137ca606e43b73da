/** Rings, who looks at them when, and channels whose two ends sleep and wake up as they like. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { channelBytes, type ChannelPlace, clearChannel, RingChannel } from "../../src/link/channel.js"
import { clearRing, ringBytes, RingReader, RingWriter } from "../../src/link/ring.js"
import { RingWatch, type WatchedRing } from "../../src/link/RingWatch.js"

describe("a ring", () => {
  it("gives back what was put in, in order, however full it is", () => {
    fc.assert(fc.property(
      fc.integer({ min: 2, max: 40 }),
      fc.array(fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.constant("take" as const)), { maxLength: 60 }),
      (capacityBytes, steps) => {
        const place = { memory: new ArrayBuffer(64 + ringBytes(capacityBytes)), offset: 64, capacityBytes }
        clearRing(place)
        const [writer, reader] = [new RingWriter(place), new RingReader(place)]
        const put: Array<number> = []
        const taken: Array<number> = []
        const take = () => reader.take((bytes) => taken.push(...bytes))
        for (const step of steps) {
          if (step === "take") {
            const there = put.length - taken.length
            assert.strictEqual(take(), there)
            assert.isTrue(reader.isEmpty)
            continue
          }
          const { room } = writer
          assert.strictEqual(room, capacityBytes - 1 - (put.length - taken.length))
          const count = writer.put(step)
          assert.strictEqual(count, Math.min(room, step.length))
          put.push(...step.subarray(0, count))
          assert.strictEqual(reader.isEmpty, put.length === taken.length)
        }
        take()
        assert.deepStrictEqual(taken, put)
      }
    ))
  })

  it("frees what a reader was handed even where that throws", () => {
    const place = { memory: new ArrayBuffer(ringBytes(8)), offset: 0, capacityBytes: 8 }
    const [writer, reader] = [new RingWriter(place), new RingReader(place)]
    writer.put(new Uint8Array(7))
    assert.throws(() => reader.take(() => { throw new Error("no") }), "no")
    assert.strictEqual(writer.room, 7)
  })
})

/** Turns of an event loop and a clock, by hand. */
const byHand = () => {
  let now = 0
  let turns: Array<() => void> = []
  const watch = new RingWatch(() => now, (look) => turns.push(look))
  return {
    watch,
    get isTurning() { return turns.length > 0 },
    pass: (ms: number) => now += ms,
    turn: (ms = 0.005) => {
      now += ms
      const due = turns
      turns = []
      for (const run of due) run()
    }
  }
}

describe("RingWatch", () => {
  const ring = () => {
    const it = { messages: 0, state: "awake", look: (): boolean => it.messages > 0 && it.messages-- > 0, sleep: () => { it.state = "asleep"; return it.messages === 0 }, wake: () => { it.state = "awake" } }
    return it satisfies WatchedRing & { messages: number; state: string }
  }

  it("sleeps at once where messages are rare, and looks on where they come often", () => {
    const loop = byHand()
    const one = ring()
    loop.watch.add(one)
    loop.turn()
    assert.isFalse(loop.isTurning)
    assert.strictEqual(one.state, "asleep")
    for (let i = 0; i < 40; i++) {
      loop.pass(10)
      one.messages = 1
      loop.watch.rang()
      assert.strictEqual(one.state, "awake")
      assert.strictEqual(one.messages, 0, "at once")
      assert.isTrue(loop.isTurning, "where something came it looks once more")
      loop.turn()
      assert.isFalse(loop.isTurning)
    }
    // One in 20 µs: it has no reason to ring soon.
    let bells = 0
    for (let i = 0; i < 400; i++) {
      one.messages = 1
      if (one.state === "asleep") {
        bells++
        loop.watch.wake()
      }
      for (let k = 0; k < 4 && loop.isTurning; k++) loop.turn()
    }
    assert.isAbove(bells, 5)
    assert.isBelow(bells, 100)
    assert.isTrue(loop.isTurning)
    // Where no more comes it ends.
    for (let k = 0; k < 1000 && loop.isTurning; k++) loop.turn()
    assert.isFalse(loop.isTurning)
  })

  it("does not fall asleep over what came meanwhile, and wakes the others up again", () => {
    const loop = byHand()
    const [one, other] = [ring(), ring()]
    loop.watch.add(one)
    loop.watch.add(other)
    // It comes between the last look and the sleep.
    const { look } = other
    other.look = () => {
      const came = look()
      other.messages = came || other.messages > 0 ? 0 : 1
      other.look = look
      return came
    }
    loop.turn()
    assert.isTrue(loop.isTurning)
    assert.strictEqual(one.state, "awake")
    loop.turn()
    assert.strictEqual(other.messages, 0)
  })

  it("looks on while it is held, and leaves the core to others that want it", () => {
    const loop = byHand()
    const one = ring()
    loop.watch.add(one)
    loop.watch.hold()
    for (let i = 0; i < 1000; i++) loop.turn()
    assert.isTrue(loop.isTurning)
    loop.watch.letGo()
    loop.turn()
    assert.isFalse(loop.isTurning)
    // It would look on for these, but for turns that are taken from it.
    for (let i = 0; i < 200; i++) {
      one.messages = 1
      loop.watch.wake()
      loop.turn()
    }
    loop.turn(3)
    assert.isFalse(loop.isTurning)
  })

  it("does nothing where there are no rings, whoever holds it", () => {
    const loop = byHand()
    loop.watch.hold()
    assert.isFalse(loop.isTurning)
    const one = ring()
    loop.watch.add(one)
    for (let i = 0; i < 10; i++) loop.turn()
    assert.isTrue(loop.isTurning, "held")
    loop.watch.delete(one)
    loop.turn()
    assert.isFalse(loop.isTurning)
  })

  it("goes on where a look throws", () => {
    const loop = byHand()
    const one = ring()
    loop.watch.add(one)
    loop.turn()
    one.look = () => { throw new Error("defect") }
    loop.watch.wake()
    assert.throws(() => loop.turn(), "defect")
    assert.isTrue(loop.isTurning)
  })
})

describe("a channel", () => {
  /** Two ends in one process, each with an event loop by hand; bells ring a step later. */
  const pair = () => {
    const place: ChannelPlace = { memory: new ArrayBuffer(channelBytes + 64), offset: 64 }
    clearChannel(place)
    const sides = (["agent", "child"] as const).map((side) => {
      const loop = byHand()
      const got: Array<Buffer> = []
      const bells = { on: 0 }
      return { side, loop, got, bells }
    })
    const [a, b] = [sides[0]!, sides[1]!]
    const channels = [a, b].map((one, i) => {
      const other = i === 0 ? b : a
      return new RingChannel(place, one.side, (bytes) => one.got.push(Buffer.from(bytes)), () => other.bells.on++, one.loop.watch)
    })
    for (const channel of channels) channel.open()
    return [{ ...a, channel: channels[0]! }, { ...b, channel: channels[1]! }] as const
  }

  it("loses nothing and nobody sleeps over it, whichever end does what when", () => {
    let seed = 0
    fc.assert(fc.property(
      fc.array(fc.record({ end: fc.constantFrom(0 as const, 1 as const), what: fc.oneof(fc.constantFrom("turn" as const, "turn" as const, "bell" as const), fc.nat(90_000)) }), { maxLength: 80 }),
      (steps) => {
        const ends = pair()
        const sent = [[], []] as [Array<Buffer>, Array<Buffer>]
        const bell = (end: 0 | 1) => {
          const { bells, loop } = ends[end]
          if (bells.on === 0) return
          bells.on = 0
          loop.watch.rang()
        }
        for (const { end, what } of steps) {
          const { channel, loop } = ends[end]
          if (what === "turn") loop.turn()
          else if (what === "bell") bell(end)
          else {
            const bytes = Buffer.alloc(what, ++seed)
            sent[end].push(bytes)
            channel.write(bytes)
          }
        }
        let written = 0
        for (const { channel } of ends) channel.whenWritten(() => written++)
        // With bells alone both come to rest with everything read.
        for (let i = 0; i < 200; i++) {
          for (const end of [0, 1] as const) {
            bell(end)
            for (let k = 0; k < 3 && ends[end].loop.isTurning; k++) ends[end].loop.turn(0.1)
          }
        }
        assert.strictEqual(written, 2)
        for (const end of [0, 1] as const) {
          assert.isFalse(ends[end].loop.isTurning)
          assert.isTrue(Buffer.concat(ends[1 - end as 0 | 1].got).equals(Buffer.concat(sent[end])))
        }
      }
    ), { numRuns: 300 })
  })

  it("rings once for all that comes while the other end sleeps, and not while it looks", () => {
    const [agent, child] = pair()
    child.channel.write(Buffer.from("early"))
    assert.strictEqual(agent.bells.on, 0, "it has not slept yet")
    while (agent.loop.isTurning) agent.loop.turn(2)
    agent.channel.cork()
    child.channel.write(Buffer.from("one"))
    child.channel.write(Buffer.from("two"))
    assert.strictEqual(agent.bells.on, 1)
    agent.channel.uncork()
    while (child.loop.isTurning) child.loop.turn(2)
    agent.channel.cork()
    agent.channel.write(Buffer.from("a"))
    agent.channel.write(Buffer.from("b"))
    assert.strictEqual(child.bells.on, 0, "corked")
    agent.channel.uncork()
    assert.strictEqual(child.bells.on, 1)
  })

  it("reads what an end that is gone has left, and nothing after it", () => {
    const [agent, child] = pair()
    child.channel.write(Buffer.from("last words"))
    agent.channel.close()
    assert.strictEqual(Buffer.concat(agent.got).toString(), "last words")
    child.channel.write(Buffer.from("from the grave"))
    for (let i = 0; i < 5; i++) agent.loop.turn()
    assert.strictEqual(Buffer.concat(agent.got).toString(), "last words")
    agent.channel.write(Buffer.from("nobody hears"))
    assert.isTrue(agent.channel.destroyed)
  })
})
