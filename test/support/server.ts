/** A server on a free port over the fakes. */
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { setTimeout as sleep } from "node:timers/promises"
import * as HttpServer from "../../src/server/HttpServer.js"
import { defaultConfig, type ServerConfig } from "../../src/server/ServerConfig.js"
import { makeSegmentArena } from "../../src/core/internal/segmentArena.js"
import { createSegment } from "../../src/node-cuda/internal/segment.js"
import { fakeLayer, type Fakes, makeFakes, type ModelDef } from "./fakeServices.js"

/** Small models of every kind the protocol treats differently. */
export const models: ReadonlyArray<ModelDef> = [
  { name: "digits", batchSymbol: "n", inputs: [["input", "FP32", ["n", 2, 3]]] },
  { name: "text", batchSymbol: "n", inputs: [["ids", "INT64", ["n", "seq"]], ["mask", "BOOL", ["n", "seq"]]] },
  { name: "fixed", inputs: [["x", "INT32", [2, 2]]] },
  { name: "half", batchSymbol: "n", inputs: [["x", "FP16", ["n", 2]]] },
  { name: "image", batchSymbol: "n", inputs: [["pixels", "FP32", ["n", 3, 224, 224]]] },
  { name: "found", batchSymbol: "n", inputs: [["x", "FP32", ["n", "len"]]], outputs: [["hits", "FP32", ["hits"]]] },
  { name: "a b/ü", inputs: [["x", "FP32", [1]]] }
]

export const startServer = (fakes: Fakes, config: Partial<ServerConfig> = {}, defs = models) =>
  Effect.map(
    Layer.build(HttpServer.layer({ ...defaultConfig, port: 0, ...config }).pipe(Layer.provide(fakeLayer(fakes, defs)))),
    (context) => Context.get(context, HttpServer.HttpServer)
  )

export const digits = (values: unknown, more: object = {}): string =>
  JSON.stringify({ inputs: [{ name: "input", shape: [1, 2, 3], datatype: "FP32", data: values }], ...more })

/** Fakes whose memory other processes can map. */
export const makeSharedFakes = (arenaBytes = 64 * 1024 * 1024): Fakes => {
  const { fd, memory } = createSegment(arenaBytes)
  return makeFakes(arenaBytes, makeSegmentArena(memory, { fd }))
}

export const startFronted = (fakes: Fakes, config: Partial<ServerConfig> = {}, defs = models) => startServer(fakes, { fronts: 2, ...config }, defs)

/** Where requests can be read: clients must not be able to tell. */
export const places = [
  { where: "in the agent", isFronted: false, makeFakes, startServer },
  { where: "in two fronts", isFronted: true, makeFakes: makeSharedFakes, startServer: startFronted }
]

/** All memory for tensors is given back; a front says so a moment after its answer. */
export const freed = async (fakes: Fakes): Promise<void> => {
  for (let i = 0; i < 200 && fakes.arena.usedBytes() > 0; i++) await sleep(10)
  assert.strictEqual(fakes.arena.usedBytes(), 0)
}
