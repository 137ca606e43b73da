/** Small files in the original's formats, made up for tests. */
import * as Either from "effect/Either"
import { assert } from "@effect/vitest"
import type { FormatError, SourceFile } from "../../../src/scheduler/original/FormatError.js"
import type { OriginalResource } from "../../../src/scheduler/original/Resource.js"
import { loadResource } from "../../../src/scheduler/original/Resource.js"

export const parts = [20, 40, 50, 60, 80, 100]
const models = ["lenet1", "googlenet", "resnet50", "ssd-mobilenetv1", "vgg16", "mnasnet1_0", "mobilenet_v2", "densenet161", "bert"]
export const allModels = ["lenet1", "lenet2", "lenet3", "lenet4", "lenet5", "lenet6", ...models.slice(1)]

/** Time of a batch: something fixed, and work that a part divides. */
export const tableMs = (model: string, part: number, batch: number): number => {
  const size = 1 + models.indexOf(model)
  return Number((0.5 * size + (0.1 * size * batch * 100) / part).toFixed(4))
}

export const files: ReadonlyMap<string, string> = new Map([
  ["device-config.json", JSON.stringify({
    device_specs: [{ type: "small", mem_mb: 11000, latency_prof_file: "small/latency.csv", interference_const_file: "small/CONST.CSV", interference_util_file: "small/UTIL.CSV" }]
  })],
  ["mem-config.json", JSON.stringify({ models: allModels.map((name, i) => ({ name, mem: 50 + 100 * i })) })],
  ["proxy_config.json", JSON.stringify({
    Models: allModels.map((name, i) => ({ name, proxy_id: i, input_dim: [3, 224, 224], output_dim: [1000], input_type: name === "bert" ? "INT64" : "FP32", output_type: "FP32" }))
  })],
  ["small/latency.csv", models.flatMap((model) => parts.flatMap((part) => [1, 2, 8, 32].map((batch) => `${model},${part},${batch},${tableMs(model, part, batch)}`))).join("\n")],
  ["small/CONST.CSV", "l2_m1,l2_m2,dram_m1,dram_m2,constant\r\n0.1,0.7,0.3,0.1,0.9\r\n"],
  ["small/UTIL.CSV", ["bench,batch,ms,sm,l2,mem,ao,to", ...["lenet", "ssd", ...models.filter((name) => name !== "lenet1" && name !== "ssd-mobilenetv1")].flatMap((bench, i) =>
    [1, 2, 4, 8, 16, 32].map((batch) => `${bench},${batch},1,50,${10 + i + batch},${20 + i + batch},40,60,`))].join("\n")],
  ...["1_28_28.txt", "3_224_224.txt", "3_300_300.txt"].map((name) => [name, Array.from({ length: 32 }, (_, i) => `${i + 1},${(0.2 * (i + 1)).toFixed(1)},\n`).join("")] as const)
])

export const resource = (): OriginalResource =>
  Either.getOrThrow(loadResource((file) => Either.fromNullable(files.get(file), () => `no file ${file}`)))

export const read = <A>(parse: (source: SourceFile) => Either.Either<A, FormatError>, text: string): A => Either.getOrThrow(parse({ file: "f", text }))

/** What a parser says of a text, with `file:line:column` in front. */
export const complaint = <A>(parse: (source: SourceFile) => Either.Either<A, FormatError>, text: string): string => {
  const parsed = parse({ file: "f", text })
  assert.isTrue(Either.isLeft(parsed), `accepted: ${text.slice(0, 80)}`)
  return Either.isLeft(parsed) ? parsed.left.message : ""
}
