/** What the agent knows of a runner that is silent. */
import { assert, describe, it } from "@effect/vitest"
import { Duplex } from "node:stream"
import type { ControlRequest } from "../../../src/node-cuda/internal/control.js"
import { RunnerLink } from "../../../src/node-cuda/internal/runnerLink.js"

const silent = (): RunnerLink =>
  new RunnerLink(new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() }), undefined, true, () => undefined, (problem) => assert.fail(problem.message))
const open: ControlRequest = { type: "open", glet: 1, units: 1, sharePct: 50, priority: 0 }

describe("RunnerLink", () => {
  it("takes what was asked before a ping for a reason to be silent, and nothing that came after", () => {
    const link = silent()
    assert.isFalse(link.mayBeBusy)
    link.ping()
    link.request(open, () => undefined)
    assert.isFalse(link.mayBeBusy, "the ping stands before it")
    const other = silent()
    const forget = other.request(open, () => undefined)
    assert.isTrue(other.mayBeBusy)
    other.ping()
    assert.isTrue(other.mayBeBusy)
    other.ping()
    assert.isTrue(other.mayBeBusy)
    forget()
    assert.isFalse(other.mayBeBusy)
  })

  it("takes clients' memory, which another thread opens, for no reason to be silent", () => {
    const link = silent()
    link.request({ type: "region", region: 1, object: { name: "/one", path: "/dev/shm/one", device: 1, inode: 1, isWritable: true, endBytes: 64 } }, () => undefined)
    link.request({ type: "forget-region", region: 1 }, () => undefined)
    assert.isFalse(link.mayBeBusy)
  })

  it("pings again once it was answered", () => {
    const link = silent()
    link.ping()
    const message = Buffer.from(JSON.stringify({ ok: true }))
    link.frame(1, 1, message, 0, message.length, 0)
    assert.strictEqual(link.heard, 1)
    link.request(open, () => undefined)
    link.ping()
    assert.isTrue(link.mayBeBusy)
  })
})
