import * as fs from "node:fs"
import * as path from "node:path"
import type { Page } from "playwright-core"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import type { ModelProfile } from "../../src/core/Profile.js"
import { onlinePlanOptions } from "../../src/core/PlanProblem.js"
import { emptyPlan } from "../../src/core/Plan.js"
import type { SimulationQuestion, Task, TaskAnswer } from "../../src/dev/Messages.js"
import { answerTask } from "../../src/dev/Tasks.js"
import { planners } from "../../src/scheduler/PlannerRegistry.js"
import type { OpenBrowser, PageServer } from "./support/browser.js"
import { chromiumPath, openBrowser, root, servePage } from "./support/browser.js"

const isThere = chromiumPath() !== undefined
if (!isThere) console.warn("the page of glet dev is not tested: no Chromium (scripts/install-test-packages installs it)")

const profiles = (JSON.parse(fs.readFileSync(path.join(root, "resource/profiles/h200/green.json"), "utf8")) as { readonly models: ReadonlyArray<ModelProfile> }).models
const simulation: SimulationQuestion = {
  planner: "orion", gpuType: "h200", isolation: "emulated", units: 132, memoryBytes: 141e9, gpus: 3, gridPct: 5, maxGletsPerGpu: 16, profiles, seed: 7,
  durationMs: 2500, loadFactor: 1,
  models: [["resnet50", 15, 900], ["bert-base", 60, 300], ["vgg16", 30, 500], ["mobilenet_v2", 12, 700]].map(([name, sloMs, rateRps]) => ({
    name: name as string, maxBatch: 32, controls: { serviceClass: "latency-critical", sloMs: sloMs as number, rateRps: rateRps as number }
  }))
}
const planTask = (planner: string, scale: number): Task => ({
  kind: "plan-text",
  question: {
    planner, options: onlinePlanOptions, current: emptyPlan,
    gpus: [0, 1, 2].map((i) => ({ id: `h200:${i}`, type: "h200", isolation: "emulated", units: 132, memoryBytes: 141e9, sharesPct: [7, 13, 19, 32, 57, 100] })) as never,
    demands: simulation.models.map(({ controls, maxBatch, name }) => ({
      model: name as never, serviceClass: controls.serviceClass, maxBatch, sloMs: controls.sloMs, rateRps: controls.rateRps * scale
    })),
    profiles: new Map([["h200", new Map(profiles.map((profile) => [profile.model, profile]))]])
  }
})
const tasks: ReadonlyArray<Task> = [
  ...planners.filter(({ name }) => name !== "static").flatMap(({ name }) => [0.3, 1, 2.5].map((scale) => planTask(name, scale))),
  { kind: "simulate-text", question: simulation },
  { kind: "simulate-text", question: { ...simulation, planner: "time-share", seed: 8, loadFactor: 1.7 } }
]

/** Tasks as text: maps keep their kind. */
const packed = JSON.stringify(tasks, (_, value: unknown) => (value instanceof Map ? { $map: [...value] } : value))

/** Answers of a planner worker in the page. */
const answersOf = (page: Page, file: string): Promise<ReadonlyArray<TaskAnswer>> =>
  page.evaluate(async ({ address, text }) => {
    const asked = JSON.parse(text, (_, value: unknown) =>
      typeof value === "object" && value !== null && "$map" in value ? new Map((value as { $map: Array<[string, unknown]> }).$map) : value) as Array<unknown>
    const { Worker } = globalThis as unknown as { Worker: new(address: string, options: object) => { postMessage: (message: unknown) => void; onmessage: unknown; onerror: unknown } }
    const worker = new Worker(address, { type: "module" })
    const answers: Array<TaskAnswer> = []
    return await new Promise<Array<TaskAnswer>>((resolve, reject) => {
      worker.onerror = (event: { message: string }) => reject(new Error(event.message))
      worker.onmessage = ({ data }: { data: { answer: TaskAnswer } }) => {
        answers.push(data.answer)
        if (answers.length === asked.length) resolve(answers)
      }
      asked.forEach((task, id) => worker.postMessage({ id, task }))
    })
  }, { address: file, text: packed })

describe.skipIf(!isThere)("the page of glet dev in Chromium", { timeout: 180_000 }, () => {
  let server: PageServer
  let chromium: OpenBrowser
  beforeAll(async () => {
    server = await servePage()
    chromium = await openBrowser()
  }, 180_000)
  afterAll(async () => {
    await chromium?.browser.close()
    await server?.close()
  })
  // Also those of a test that failed: their traffic and best-effort work would go on beside the next.
  afterEach(() => chromium.closePages())
  const shots = process.env["GLET_SCREENSHOTS"]
  const shoot = async (page: Page, name: string): Promise<void> => {
    if (shots !== undefined) await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true })
  }
  /** What was waited for; where it does not come, with what the page says instead. */
  const orSay = async <A>(page: Page, waiting: Promise<A>): Promise<A> => {
    try {
      return await waiting
    } catch (error) {
      throw new Error(`${String(error)}\nThe page says:\n${await page.locator("body").innerText()}`)
    }
  }
  const ready = (page: Page, models: number) => orSay(page, page.waitForFunction((count) => {
    const { document } = globalThis as unknown as { document: { querySelectorAll: (selector: string) => { length: number } } }
    return document.querySelectorAll(".card.ready").length === count
  }, models, { timeout: 120_000 }))

  it("plans and simulates byte for byte as Node does", async () => {
    const { complaints, page } = await chromium.open(`${server.url}?world=replay`)
    const file = fs.readdirSync(path.join(server.folder, "assets")).find((name) => /^planner-.*\.js$/.test(name))
    const there = await answersOf(page, `${server.url}assets/${file}`)
    const here = tasks.map(answerTask)
    for (const [i, answer] of here.entries()) {
      assert.strictEqual(answer.kind, "text")
      assert.deepStrictEqual(there[i], answer, JSON.stringify(tasks[i]).slice(0, 80))
    }
    const texts = here.map((answer) => (answer.kind === "text" ? answer.text : ""))
    // They say something: glets, and requests that were served.
    assert.isTrue(texts.slice(0, -2).every((text) => text.includes("\"kind\": \"Plan\"")))
    assert.isTrue(texts.slice(-2).every((text) => (JSON.parse(text) as { readonly requests: number }).requests > 1000))
    assert.deepStrictEqual(complaints, [])
  })

  it("serves replayed GPUs: plan, batches, sliders, planners, pause, without asking anything of elsewhere", async () => {
    const { asked, complaints, page } = await chromium.open(`${server.url}?world=replay`, { colorScheme: "dark" })
    await ready(page, 6)
    await page.waitForSelector(".kept")
    const glets = (): Promise<number> => page.locator(".glet").count()
    const before = await glets()
    assert.isAbove(before, 4)
    await shoot(page, "replay-dark")
    // A tighter objective, by keyboard; the plan follows.
    const slo = page.getByRole("slider", { name: "SLO of resnet50" })
    const was = await slo.getAttribute("aria-valuetext")
    await slo.focus()
    for (let i = 0; i < 4; i++) await page.keyboard.press("ArrowLeft")
    assert.notStrictEqual(await slo.getAttribute("aria-valuetext"), was)
    await page.waitForFunction(() =>
      (globalThis as unknown as { document: { querySelector: (selector: string) => { textContent: string } } }).document.querySelector(".plan .reason").textContent.includes("resnet50 changed"))
    // One that no glet keeps: the model is not served, says why, and can be asked for less.
    await slo.press("Home")
    await page.locator(".card.failed .detail", { hasText: /./ }).waitFor()
    await slo.press("End")
    await ready(page, 6)
    // Another planner.
    await page.getByRole("combobox").selectOption("time-share")
    await page.waitForFunction(() =>
      (globalThis as unknown as { document: { querySelector: (selector: string) => { textContent: string } } }).document.querySelector("[role=status]").textContent.startsWith("time-share serves"))
    assert.isAtMost(await glets(), 4)
    // Nothing moves after a pause.
    await page.getByRole("button", { name: "Pause traffic" }).click()
    await page.getByRole("button", { name: "Send traffic" }).waitFor()
    assert.isTrue(asked.every((address) => address.startsWith(server.url)), asked.join("\n"))
    assert.deepStrictEqual(complaints, [])
  })

  it("serves the demo's models on this machine, reads handwriting, and goes on when its server has ended", async () => {
    const own = await servePage()
    const { asked, complaints, page } = await chromium.open(`${own.url}?provider=wasm`)
    await ready(page, 4)
    await page.waitForSelector(".right")
    assert.isAbove(Number.parseFloat(await page.locator(".right").first().innerText()), 95)
    // A one: a stroke downwards.
    const pad = page.locator(".pad canvas")
    const box = (await pad.boundingBox())!
    await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.12)
    await page.mouse.down()
    for (let i = 1; i <= 12; i++) await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * (0.12 + 0.06 * i))
    await page.mouse.up()
    await orSay(page, page.getByText("It is a 1").waitFor())
    await shoot(page, "device-light")
    await own.close()
    await chromium.forgetFiles(page)
    // By then no worker is left of those that were started before: the next glet gets a new one.
    await page.waitForTimeout(2500)
    assert.isTrue(await fetch(own.url).then(() => false, () => true))
    // A file that is no model is said to be none; one that is, is measured and served.
    const bytes = fs.readFileSync(path.join(root, "resource/demo/digits-features.onnx"))
    await page.getByLabel("ONNX files").setInputFiles([
      { name: "broken.onnx", mimeType: "application/octet-stream", buffer: Buffer.from("not a model") },
      { name: "mine.onnx", mimeType: "application/octet-stream", buffer: bytes }
    ])
    await ready(page, 5)
    assert.match(await page.locator(".card.failed").innerText(), /broken\.onnx/)
    await page.getByRole("button", { name: "Remove mine" }).click()
    await ready(page, 4)
    await page.getByRole("combobox").selectOption("time-share")
    await page.waitForFunction(() =>
      (globalThis as unknown as { document: { querySelector: (selector: string) => { textContent: string } } }).document.querySelector("[role=status]").textContent.startsWith("time-share serves"))
    await page.getByRole("button", { name: "Clear" }).click()
    // A machine that is busy with other tests may refuse one.
    const another = page.getByText(/It is a [02-9]/)
    for (let i = 0; i < 20 && !(await another.isVisible()); i++) {
      await page.getByRole("button", { name: "A digit from the test set" }).click()
      await another.waitFor({ timeout: 3000 }).catch(() => undefined)
    }
    await orSay(page, another.waitFor({ timeout: 3000 }))
    assert.isTrue(asked.every((address) => address.startsWith(own.url) || address.startsWith(`blob:${own.url}`)), asked.join("\n"))
    assert.deepStrictEqual(complaints, [])
  })

  it("fits a narrow screen and needs no motion", async () => {
    const { complaints, page } = await chromium.open(`${server.url}?world=replay`, { viewport: { width: 360, height: 740 }, reducedMotion: "reduce" })
    await ready(page, 6)
    const overflow = await page.evaluate(() => {
      const { document } = globalThis as unknown as { document: { documentElement: { scrollWidth: number; clientWidth: number } } }
      return document.documentElement.scrollWidth - document.documentElement.clientWidth
    })
    assert.isAtMost(overflow, 0)
    await shoot(page, "replay-narrow")
    assert.deepStrictEqual(complaints, [])
  })
})
