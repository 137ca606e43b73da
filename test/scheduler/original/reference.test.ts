/**
 * The original's own models, point by point, and its planner's answers, run by run. Skipped where the environment variable GLET_REFERENCE does not
 * name a folder of reference runs.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { unsafeModelName } from "../../../src/core/Ids.js"
import { validatePlan } from "../../../src/core/ValidatePlan.js"
import { problemOfCase, publishedCaseOptions } from "../../../src/scheduler/original/CasePlans.js"
import { parseCase } from "../../../src/scheduler/original/Cases.js"
import { parseModelList, writeModelList } from "../../../src/scheduler/original/ModelList.js"
import { preferredPart, rate99Rps, saturatedBatch, saturatedRps } from "../../../src/scheduler/original/Rates.js"
import { elasticInt } from "../../../src/scheduler/planners/Elastic.js"
import { readReference } from "./reference.js"

const folder = process.env["GLET_REFERENCE"]
if (folder === undefined) console.warn("SKIPPED: comparison with the original; set GLET_REFERENCE to the folder of reference runs")

const headroom = 1.1

describe.skipIf(folder === undefined)("the original's tables", () => {
  const { read, resource, table } = folder === undefined ? ({} as ReturnType<typeof readReference>) : readReference(folder)
  const worst = (what: string, pairs: ReadonlyArray<readonly [ours: number, theirs: number]>): void => {
    const largest = pairs.reduce((most, [ours, theirs]) => Math.max(most, Math.abs(ours - theirs) / Math.max(1e-9, Math.abs(theirs))), 0)
    console.log(`${what}: ${pairs.length} points, largest relative difference ${largest.toExponential(2)}`)
    assert.isAbove(pairs.length, 0)
    // A difference that is NaN is no agreement.
    assert.isTrue(largest < 1e-6 && pairs.every(([ours]) => Number.isFinite(ours)), `${what}: ${largest}`)
  }
  const at = (type: string, model: string, sharePct: string, batch: string) =>
    ({ gpuType: type, model: unsafeModelName(model), sharePct: Number(sharePct), batch: Number(batch) })

  it("has their latencies", () => {
    const rows = table("eval/latency-eval.csv")
    const executions = rows.map((row) => at(row["type"]!, row["model"]!, row["part"]!, row["batch"]!))
    worst("table latency", executions.map((each, i) => [resource.latency.tableMs(each), Number(rows[i]!["table_latency_ms"])]))
    worst("batching overhead", executions.map((each, i) => [resource.latency.overheadMs(each.model, each.batch), Number(rows[i]!["batching_overhead_ms"])]))
    worst("planning latency", executions.map((each, i) => [headroom * resource.latency.latencyMs(each), Number(rows[i]!["scheduler_latency_ms"])]))
  })

  it("has their interference", () => {
    const rows = table("eval/interference-eval.csv.gz")
    const pairs = rows.map((row) => ({
      own: at(row["type"]!, row["my_model"]!, row["my_part"]!, row["my_batch"]!),
      other: at(row["type"]!, row["your_model"]!, row["your_part"]!, row["your_batch"]!),
      raw: Number(row["alpha_raw"]),
      used: Number(row["alpha_used"])
    }))
    worst("interference", pairs.map(({ other, own, raw }) => [resource.latency.rawInterference(own, other), raw]))
    worst("interference in use", pairs.map(({ other, own, used }) => {
      // What `slowdown` does to the table's part of the latency.
      const table = resource.latency.tableMs(own)
      const overhead = resource.latency.overheadMs(own.model, own.batch)
      return [(resource.latency.slowdown(own, [[other]]) * (table + overhead) - overhead) / table, used]
    }))
  })

  it("has their saturation and preferred parts", () => {
    const rows = table("eval/saturation-eval.csv")
    const latencyOf = (row: typeof rows[number], part: string) => (batch: number) =>
      headroom * resource.latency.latencyMs(at(row["type"]!, row["model"]!, part, String(batch)))
    worst("largest batch", rows.map((row) => [saturatedBatch(latencyOf(row, row["part"]!), Number(row["slo_ms"])), Number(row["max_batch"])]))
    worst("saturated throughput", rows.map((row) => [saturatedRps(latencyOf(row, row["part"]!), Number(row["slo_ms"])), Number(row["sat_trp_rps"])]))
    worst("preferred part", rows.map((row) => {
      const parts = resource.partsByType.get(row["type"]!)!
      return [preferredPart(parts, (part) => saturatedRps(latencyOf(row, String(part)), Number(row["slo_ms"]))), Number(row["preferred_part"])]
    }))
  })

  it("has their 99th-percentile rates", () => {
    worst("rate", table("eval/rate99p-eval.csv").map((row) => [rate99Rps(Number(row["rate"])), Number(row["rate99p"])]))
  })

  it("reads and writes their plans", () => {
    let lists = 0
    for (const text of read("cases.jsonl.gz").split("\n").filter((line) => line.includes("\"model_list\""))) {
      const { model_list: list } = JSON.parse(text) as { readonly model_list: string }
      const glets = Either.getOrThrow(parseModelList({ file: "ModelList.txt", text: list }))
      assert.strictEqual(glets.reduce((lines, { works }) => lines + Math.max(1, works.length), 0), list.trim().split("\n").length)
      lists++
    }
    assert.isAbove(lists, 0)
  })

  it("agrees with gpulet-int on what can be scheduled", () => {
    let agreeing = 0
    let runs = 0
    for (const text of read("cases.jsonl.gz").split("\n").filter((line) => line !== "")) {
      const run = JSON.parse(text) as { readonly config: string; readonly ub_sensitive: boolean; readonly exit: string; readonly n_gpus: number }
      if (run.config !== "gpulet-int" || run.ub_sensitive || run.exit === "crash") continue
      const problem = Either.getOrThrow(problemOfCase(resource, Either.getOrThrow(parseCase({ file: "cases", text })), run.n_gpus, publishedCaseOptions))
      const answer = elasticInt.plan(problem)
      if (Either.isRight(answer)) {
        assert.deepStrictEqual(validatePlan(answer.right, problem), [])
        assert.isAbove(Either.getOrThrow(parseModelList({ file: "own", text: writeModelList(answer.right) })).length, 0)
      }
      runs++
      if (Either.isRight(answer) === (run.exit === "schedulable")) agreeing++
    }
    console.log(`agreement with gpulet-int: ${agreeing} of ${runs}`)
    assert.isAtLeast(agreeing / runs, 0.95)
  })
})
