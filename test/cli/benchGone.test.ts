import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as path from "node:path"
import type { Ended, Glet } from "./support/glet.js"
import { buildGlet } from "./support/glet.js"

let glet: Glet
beforeAll(async () => {
  glet = await buildGlet()
})
afterAll(() => glet.close())

/** Serves any model until it has answered so many requests for inference, then is gone: nothing listens, all connections are cut. */
const benchWhile = async (answers: number, args: ReadonlyArray<string>): Promise<Ended> => {
  let answered = 0
  const server = http.createServer((request, response) => {
    request.resume().on("end", () => {
      if (request.method === "GET") return void response.end(JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }] }))
      if (answered === answers) {
        server.close()
        server.closeAllConnections()
        return
      }
      answered += 1
      response.end("{}")
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  try {
    return await glet.run(["bench", ...args, "--warm-up", "0", "--json", "--server", `http://127.0.0.1:${(server.address() as AddressInfo).port}`])
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

const sumOf = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((sum, count) => sum + count, 0)
const wentAway = /glet bench: the server at http:\/\/127\.0\.0\.1:\d+ went away \d+\.\d s after the start: the last \d+ exchanges had no answer; see its log/

describe("glet bench, whose server goes away", () => {
  it("prints its report, says what happened, and fails", async () => {
    const { code, stderr, stdout } = await benchWhile(20, ["m", "--rate", "200", "--n", "60"])
    assert.strictEqual(code, 1, stderr)
    const { answered, failed, requests } = JSON.parse(stdout) as { readonly requests: number; readonly answered: number; readonly failed: Readonly<Record<string, number>> }
    assert.strictEqual(requests, 60)
    assert.isTrue(answered >= 1 && answered <= 20, `${answered} answered`)
    assert.strictEqual(sumOf(failed), 60 - answered)
    assert.match(stderr, wentAway)
    assert.notMatch(stderr, /\n\s+at /)
  })

  it("does as it is told where the server stays", async () => {
    const { code, stderr, stdout } = await benchWhile(Infinity, ["m", "--rate", "200", "--n", "60"])
    assert.strictEqual(code, 0, stderr)
    assert.strictEqual((JSON.parse(stdout) as { readonly answered: number }).answered, 60)
    assert.notMatch(stderr, /went away/)
  })

  it("fails with a scenario too, after its report, and looks for no peak", async () => {
    const scenario = path.join(glet.folder, "one.json")
    fs.writeFileSync(scenario, JSON.stringify({
      apiVersion: "glet/v1alpha1", kind: "Scenario", models: [{ name: "m", sloMs: 5000 }], loads: [{ model: "m", arrivals: { process: "uniform", rateRps: 200 } }]
    }))
    for (const threads of ["1", "2"]) {
      const played = await benchWhile(20, ["--scenario", scenario, "--duration", "0.3", "--threads", threads])
      assert.strictEqual(played.code, 1, played.stderr)
      assert.match(played.stderr, wentAway)
      const { loads } = JSON.parse(played.stdout) as { readonly loads: ReadonlyArray<{ readonly requests: number; readonly answered: number }> }
      assert.strictEqual(loads[0]!.requests, 59)
      assert.isTrue(loads[0]!.answered < 59, played.stdout)
    }
    const sought = await benchWhile(20, ["--scenario", scenario, "--duration", "0.3", "--find-peak"])
    assert.strictEqual(sought.code, 1, sought.stderr)
    assert.strictEqual(sought.stdout, "")
    assert.match(sought.stderr, wentAway)
  })
})
