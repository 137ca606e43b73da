/** A server on a free port over the fakes. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpServer from "../../src/server/HttpServer.js"
import { defaultConfig, type ServerConfig } from "../../src/server/ServerConfig.js"
import { fakeLayer, type Fakes, type ModelDef } from "./fakeServices.js"

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
