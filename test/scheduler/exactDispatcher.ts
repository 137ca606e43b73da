/** A dispatcher whose figures nothing blurs, and what tests of it say of ends and batches. */
import type { BatchEnd } from "../../src/core/Executor.js"
import { GletExited } from "../../src/core/ExecutorError.js"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import type { RequestEnd } from "../../src/core/Request.js"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import type { DispatcherOptions } from "../../src/scheduler/DispatcherOptions.js"
import type { GletRoutes } from "../../src/scheduler/GletRoutes.js"
import { glet, linear, makeModel, route } from "./harness.js"

export const g0 = unsafeGletId("gpu/0")
export const g1 = unsafeGletId("gpu/1")
export const ignore = (): void => {}

export const outcome = (end: RequestEnd | undefined): string =>
  end === undefined
    ? "pending"
    : end.ok ? "ok" : end.error._tag === "RequestDropped" || end.error._tag === "ModelUnavailable" ? end.error.reason : end.error._tag

/** Without overhead and time for the answer. */
export const exact = (models: ReadonlyArray<Model>, glets: ReadonlyArray<GletRoutes>, options: Partial<DispatcherOptions> = {}): Dispatcher => {
  const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: 0, ...options })
  for (const model of models) dispatcher.setModel(model)
  dispatcher.setRoutes(glets)
  for (const { id } of glets) dispatcher.gletReady(id, 2)
  return dispatcher
}

export const exited = (id = g0): BatchEnd => ({ ok: false, error: new GletExited({ glet: id, signal: "SIGKILL", detail: "" }) })
export const failed: BatchEnd = { ok: false, error: { _tag: "BatchFailed", detail: "bad input" } }
export const ids = (batch: DispatchedBatch | undefined): ReadonlyArray<string | undefined> | undefined => batch?.entries.map((entry) => entry.id)

/** One model on one glet: 10 ms and 1 ms an item, within 100 ms. */
export const a = makeModel("a", { sloMs: 100, maxBatch: 8 })
export const latency = linear(10, 1, 8)
export const one = [glet("gpu/0", [route(a, latency, { typicalRatio: 1, planBatch: 4 })])]
