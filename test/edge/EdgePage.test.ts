/** A page of glet dev that lends its device, closed under load: the whole way, from the form to the last answer. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { lenetProblem } from "../../src/cli/demo/lenetLogits.js"
import { layerServing } from "../../src/cli/compose.js"
import { unsafeModelName } from "../../src/core/Ids.js"
import { gletsOf } from "../../src/core/Plan.js"
import { Scheduler } from "../../src/scheduler/Scheduler.js"
import { HttpServer } from "../../src/server/HttpServer.js"
import { ModelCatalog } from "../../src/server/ModelCatalog.js"
import { defaultConfig } from "../../src/server/ServerConfig.js"
import { lenetDigits, lenetModel } from "../contract/lenet.js"
import type { OpenBrowser, PageServer } from "../dev/support/browser.js"
import { chromiumPath, openBrowser, servePage } from "../dev/support/browser.js"

const isThere = chromiumPath() !== undefined
if (!isThere) console.warn("edge nodes are not tested in a browser: no Chromium (scripts/install-test-packages installs it)")

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-edge-page-"))
const token = "a token of more than sixteen letters"

/** An answer of LeNet: the digit, or what came instead, wrong numbers too. */
const ask = async (url: string, digit: number): Promise<number | string> => {
  const data = Array.from(lenetDigits().images[digit]!)
  const response = await fetch(`${url}/v2/models/lenet/infer`, {
    method: "POST", body: JSON.stringify({ inputs: [{ name: "input", datatype: "FP32", shape: [1, 1, 28, 28], data }] })
  }).catch((error: unknown) => String(error))
  if (typeof response === "string") return response
  if (response.status !== 200) return `${response.status} ${await response.text()}`
  const answer = ((await response.json()) as { readonly outputs: ReadonlyArray<{ readonly data: ReadonlyArray<number> }> }).outputs[0]!.data
  return lenetProblem(digit, answer) ?? answer.indexOf(Math.max(...answer))
}

describe.skipIf(!isThere)("a page that lends its device", { timeout: 120_000 }, () => {
  let server: PageServer
  let chromium: OpenBrowser
  beforeAll(async () => {
    fs.mkdirSync(path.join(folder, "models"))
    fs.copyFileSync(lenetModel.path, path.join(folder, "models/lenet.onnx"))
    server = await servePage()
    chromium = await openBrowser()
  }, 180_000)
  afterAll(async () => {
    await chromium?.browser.close()
    await server?.close()
    fs.rmSync(folder, { recursive: true, force: true })
  })

  it("says what is wrong with a token, serves once it has joined, and is missed by no request when its tab closes", () =>
    Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const services = yield* Layer.build(Layer.unwrapEffect(layerServing({
        executor: "cpu", isolation: "auto", cores: 1, planner: "orion", directory: path.join(folder, "models"), profiles: path.join(folder, "profiles"),
        profileBudget: 300, config: { ...defaultConfig, port: 0 }, onProgress: () => {}, edge: { token, origins: [] },
        overrides: new Map([["lenet", { sloMs: 5000, maxBatch: 4, edge: true }]])
      })).pipe(Layer.orDie, Layer.provide(Logger.remove(Logger.defaultLogger))))
      yield* Context.get(services, ModelCatalog).settled
      const scheduler = Context.get(services, Scheduler)
      const { url } = Context.get(services, HttpServer)
      let served = 0
      yield* scheduler.observe({ batchEnded: ({ gpu, ok }) => void (served += ok && gpu.startsWith("edge:") ? 1 : 0) })
      const edgeGlets = Effect.map(scheduler.plan, (plan) => gletsOf(plan).filter(({ gpu }) => gpu.gpu.startsWith("edge:")).length)

      const { complaints, page } = yield* Effect.promise(() => chromium.open(`${server.url}?provider=wasm`))
      yield* Effect.promise(async () => {
        await page.getByLabel("Server").fill(url)
        await page.getByLabel("Token").fill("another token than it has")
        await page.getByRole("button", { name: "Join" }).click()
        await page.getByText("Not joined: the token is not right").waitFor({ timeout: 40_000 })
        await page.getByLabel("Token").fill(token)
        await page.getByRole("button", { name: "Join" }).click()
        await page.getByText("Joined as").waitFor({ timeout: 40_000 })
      })
      // More than this machine can carry alone: the plan takes every device there is.
      while ((yield* edgeGlets) === 0) {
        yield* scheduler.amend(unsafeModelName("lenet"), { expectedRateRps: 50_000 })
        yield* Effect.sleep(200)
      }
      const answers: Array<Promise<number | string>> = []
      const load = (requests: number) =>
        Effect.gen(function*() {
          for (let i = 0; i < requests; i++) {
            answers.push(ask(url, answers.length % 500))
            yield* Effect.sleep(10)
          }
        })
      while (served < 5) {
        yield* load(10)
        yield* scheduler.amend(unsafeModelName("lenet"), { expectedRateRps: 50_000 })
      }
      for (let i = 0; i < 40; i++) answers.push(ask(url, answers.length % 500))
      const closing = page.close()
      yield* load(60)
      yield* Effect.promise(() => closing)
      const all = yield* Effect.promise(() => Promise.all(answers))
      // Refused at once because its deadline cannot be made is no request lost: this machine may be that busy. None that was accepted may be.
      const refused = all.filter((answer) => typeof answer === "string" && answer.startsWith("429"))
      const lost = all.filter((answer) => typeof answer === "string" && !answer.startsWith("429"))
      assert.strictEqual(lost.length, 0, lost.join("\n"))
      assert.isBelow(refused.length, 0.1 * all.length, refused.join("\n"))
      const { labels } = lenetDigits()
      assert.isAbove(all.filter((answer, i) => answer === labels[i % 500]).length / (all.length - refused.length), 0.97)
      while ((yield* edgeGlets) > 0) yield* Effect.sleep(50)
      // A page's own end is no error of it; the refused token is one of the socket's.
      assert.deepStrictEqual(complaints.filter((text) => !text.includes("WebSocket")), [])
    }))))
})
