import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { LoadFailure } from "../../../src/core/internal/loadFailure.js"
import { Model } from "../../../src/core/Model.js"
import { readModelBytes } from "../../../src/server/repository/ModelBytes.js"
import type { ModelSettings } from "../../../src/server/repository/ModelSettings.js"
import { defaultSettings } from "../../../src/server/repository/ModelSettings.js"
import { readModel, type ReadModel } from "../../../src/server/repository/ReadModel.js"
import { scanRepository } from "../../../src/server/repository/Scan.js"
import { parseConfigJson } from "../../../src/server/repository/TritonConfig.js"
import * as onnx from "../../support/onnx.js"
import type { Files } from "./folder.js"
import { folderOf, writeFiles } from "./folder.js"

const identity = onnx.identityModel()

const scan = (directory: string, followLinks = false) =>
  Effect.map(scanRepository(directory, { followLinks }), (found) => new Map(found.map((model) => [model.name, model])))

interface Given {
  readonly settings?: ReadonlyArray<ModelSettings>
  readonly override?: string
}

const readOne = (directory: string, name: string, { override, settings = [] }: Given = {}) =>
  Effect.gen(function*() {
    const found = (yield* scan(directory)).get(name)
    if (found === undefined) return yield* Effect.dieMessage(`no model "${name}" was found`)
    return yield* readModel(found, {
      followLinks: false,
      defaults: defaultSettings,
      settings,
      ...(override === undefined ? {} : { config: yield* parseConfigJson("config", override) })
    })
  })

/** A Triton model "m" with this configuration. */
const configured = (config: string, bytes: Uint8Array = identity, given: Given = {}) =>
  Effect.scoped(Effect.flatMap(folderOf({ "m/config.pbtxt": config, "m/1/model.onnx": bytes }), (directory) => readOne(directory, "m", given)))

const message = (effect: ReturnType<typeof configured>) => Effect.map(Effect.flip(effect), (error) => error.message.replace(/^.*\/m\//, ""))

describe("scanRepository", () => {
  it.scoped("finds both layouts side by side, and nothing else", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({
        "plain.onnx": identity,
        "name.with.dots.onnx": identity,
        ".hidden.onnx": identity,
        ".git/config.pbtxt": "",
        "glet.json": "{}",
        "labels.txt": "",
        "data/images/1.png": "",
        "triton/config.pbtxt": "",
        "triton/labels.txt": "",
        "triton/1/model.onnx": identity,
        "triton/10/model.onnx": identity,
        "triton/9/model.onnx": identity,
        "triton/0/model.onnx": identity,
        "triton/01/model.onnx": identity,
        "bare/2/model.onnx": identity,
        "stray/model.onnx": identity,
        "wrong/v1/model.onnx": identity,
        "empty/config.pbtxt": ""
      })
      const found = yield* scan(directory)
      assert.deepEqual([...found.keys()], ["bare", "empty", "name.with.dots", "plain", "stray", "triton", "wrong"])
      assert.deepEqual(found.get("triton")!.versions, [1, 9, 10])
      assert.isTrue(found.get("triton")!.hasConfig)
      assert.isFalse(found.get("bare")!.hasConfig)
      assert.isUndefined(found.get("plain")!.versions)
      assert.include(found.get("stray")!.problem!.message, "put the model in stray/1/model.onnx (found stray/model.onnx)")
      assert.include(found.get("wrong")!.problem!.message, "put the model in wrong/1/model.onnx (found wrong/v1/model.onnx)")
      assert.include(found.get("empty")!.problem!.message, "has no version folder")
    }))

  it.scoped("a name that stands twice is neither", () =>
    Effect.gen(function*() {
      const found = yield* scan(yield* folderOf({ "a.onnx": identity, "a/1/model.onnx": identity }))
      assert.strictEqual(found.size, 1)
      assert.include(found.get("a")!.problem!.message, "has the same name \"a\"; rename one of them")
    }))

  it.scoped("follows links within the repository only", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({ "secret/x.onnx": identity, "repo/real.onnx": identity, "repo/t/1/model.onnx": identity })
      const repo = path.join(directory, "repo")
      fs.symlinkSync("real.onnx", path.join(repo, "within.onnx"))
      fs.symlinkSync("../secret/x.onnx", path.join(repo, "out.onnx"))
      fs.symlinkSync("nowhere", path.join(repo, "dangling.onnx"))
      fs.symlinkSync("self.onnx", path.join(repo, "self.onnx"))
      fs.symlinkSync("self", path.join(repo, "self"))
      fs.symlinkSync("../../secret", path.join(repo, "t", "2"))
      fs.mkdirSync(path.join(repo, "u", "1"), { recursive: true })
      fs.symlinkSync("../../../secret/x.onnx", path.join(repo, "u", "1", "model.onnx"))
      const found = yield* scan(repo)
      assert.isUndefined(found.get("within")!.problem)
      assert.strictEqual(found.get("out")!.problem!.reason, "refused")
      assert.include(found.get("dangling")!.problem!.message, "does not exist")
      assert.include(found.get("self")!.problem!.message, "self.onnx: is a link that leads back to itself")
      assert.strictEqual(found.get("t")!.problem!.reason, "refused")
      assert.strictEqual((yield* Effect.flip(readOne(repo, "u"))).reason, "refused")
      assert.isUndefined((yield* scan(repo, true)).get("out")!.problem)
    }))

  it.scoped("its fingerprint follows the files", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({ "m/1/model.onnx": identity, "m/1/weights.bin": "a", "n.onnx": identity })
      const marks = () => Effect.map(scan(directory), (found) => [found.get("m")!.fingerprint, found.get("n")!.fingerprint])
      const before = yield* marks()
      assert.deepEqual(yield* marks(), before)
      fs.writeFileSync(path.join(directory, "m/1/weights.bin"), "ab")
      const after = yield* marks()
      assert.notStrictEqual(after[0], before[0])
      assert.strictEqual(after[1], before[1])
    }))

  it.effect("says that the folder is not there", () =>
    Effect.gen(function*() {
      assert.include((yield* Effect.flip(scanRepository("/no/such/folder", { followLinks: false }))).message, "no such folder of models")
    }))
})

describe("readModel", () => {
  const plain = (files: Files, name: string, given?: Given) => Effect.flatMap(folderOf(files), (directory) => readOne(directory, name, given))

  it.scoped("a plain file", () =>
    Effect.gen(function*() {
      const { config, layout, model, notes } = yield* plain({ "seq.onnx": onnx.sequenceModel() }, "seq", { settings: [{ sloMs: 30 }] })
      assert.deepEqual(Schema.decodeUnknownSync(Model)(model), model)
      assert.strictEqual(model.name as string, "seq")
      assert.deepInclude(model, { version: 1, maxBatch: 32, serviceClass: "latency-critical", sloMs: 30, expectedRateRps: 1 })
      assert.strictEqual(model.weightBytes, onnx.sequenceModel().length)
      assert.deepEqual(layout.inputSymbols, ["sequence"])
      assert.deepEqual(notes, [])
      assert.deepEqual(config, {
        name: "seq",
        platform: "onnxruntime_onnx",
        backend: "onnxruntime",
        version_policy: { latest: { num_versions: 1 } },
        max_batch_size: 32,
        input: [{
          name: "ids", data_type: "TYPE_INT64", dims: [-1], format: "FORMAT_NONE", is_shape_tensor: false, allow_ragged_batch: false, optional: false
        }],
        output: [
          { name: "tokens", data_type: "TYPE_FP32", dims: [-1, 8], label_filename: "", is_shape_tensor: false },
          { name: "embedding", data_type: "TYPE_FP32", dims: [8], label_filename: "", is_shape_tensor: false }
        ],
        dynamic_batching: {},
        default_model_filename: "seq.onnx",
        parameters: {
          "glet.class": { string_value: "latency-critical" }, "glet.slo_ms": { string_value: "30" }, "glet.rate_rps": { string_value: "1" }
        }
      })
    }))

  it.scoped("says what it took by default and why it does not batch", () =>
    Effect.gen(function*() {
      const { config, model, notes } = yield* plain({ "fixed.onnx": onnx.fixedBatchModel() }, "fixed")
      assert.strictEqual(model.maxBatch, 1)
      assert.strictEqual(model.sloMs, 100)
      assert.include(notes[0]!, "no SLO is given, 100 ms are taken")
      assert.include(notes[1]!, "not joined into batches: the leading dimension of input \"x\" is fixed at 2")
      assert.strictEqual(config["max_batch_size"], 0)
      assert.deepInclude((config["input"] as ReadonlyArray<object>)[0]!, { dims: [2, 3] })
      assert.notProperty(config, "dynamic_batching")
    }))

  it.scoped("external data counts as weights", () =>
    Effect.gen(function*() {
      const model = onnx.makeModel({
        inputs: [{ name: "x", shape: ["b", 4] }], outputs: [{ name: "y", shape: ["b", 4] }], nodes: [onnx.matMul(["x", "w"], "y")],
        initializers: [{ name: "w", dims: [4, 4], data: new Float32Array(0), external: { location: "w.bin" } }]
      })
      const read = yield* plain({ "m/3/model.onnx": model, "m/3/w.bin": new Uint8Array(64) }, "m")
      assert.strictEqual(read.model.weightBytes, model.length + 64)
      assert.strictEqual(read.model.version, 3)
    }))

  it.effect("config.pbtxt decides what it says", () =>
    Effect.gen(function*() {
      const read = yield* configured(`max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [4] }
parameters { key: "glet.class" value { string_value: "best-effort" } }`)
      assert.deepInclude(read.model, { maxBatch: 4, serviceClass: "best-effort" })
      assert.isUndefined(read.model.sloMs)
      assert.strictEqual((yield* configured("max_batch_size: 0")).model.maxBatch, 1)
      assert.isUndefined((yield* configured("max_batch_size: 0")).model.signature.batchSymbol)
      assert.strictEqual((yield* configured("")).model.maxBatch, 32, "without a word on batches, the file decides")
    }))

  it.effect("flags come before glet.json, before config.pbtxt, before defaults; a load request before all", () =>
    Effect.gen(function*() {
      const config = `max_batch_size: 4 parameters { key: "glet.slo_ms" value { string_value: "50" } } parameters { key: "glet.rate_rps" value { string_value: "5" } }`
      const settings = [{ sloMs: 10 }, { sloMs: 20, maxBatch: 16 }]
      const file = (yield* configured(config, identity, { settings })).model
      assert.deepInclude(file, { sloMs: 10, maxBatch: 16, expectedRateRps: 5 })
      const override = JSON.stringify({ max_batch_size: 2, parameters: { "glet.slo_ms": { string_value: "70" } } })
      const asked = (yield* configured(config, identity, { settings, override })).model
      assert.deepInclude(asked, { sloMs: 70, maxBatch: 2, expectedRateRps: 1 })
    }))

  it.effect("a size in the configuration narrows its symbol wherever it stands", () =>
    Effect.gen(function*() {
      const { layout, model } = yield* configured("max_batch_size: 8 input { name: \"ids\" dims: [16] }", onnx.sequenceModel())
      assert.deepEqual(model.signature.inputs[0]!.shape, ["batch", 16])
      assert.deepEqual(model.signature.outputs.map(({ shape }) => shape), [["batch", 16, 8], ["batch", 8]])
      assert.isTrue(layout.isStatic)
      const shapeless = onnx.makeModel({ inputs: [{ name: "x" }], outputs: [{ name: "y" }], nodes: [onnx.identity("x", "y")] })
      const given = yield* configured("max_batch_size: 8 input { name: \"x\" dims: [3] } output { name: \"y\" dims: [-1] }", shapeless)
      assert.deepEqual(given.model.signature.inputs[0]!.shape, ["batch", 3])
      assert.deepEqual(given.model.signature.outputs[0]!.shape, ["batch", "y_dim1"])
    }))

  it.effect("serves the outputs that the configuration names, all where it names none, and says which it leaves out", () =>
    Effect.gen(function*() {
      const outputs = ({ model }: ReadModel) => model.signature.outputs.map(({ name }) => name)
      const all = yield* configured("input { name: \"a\" }", onnx.twoInputModel())
      assert.deepEqual(outputs(all), ["sum", "a_copy"])
      assert.notInclude(all.notes.join(), "outputs")
      const one = yield* configured("max_batch_size: 4 output { name: \"a_copy\" dims: [3] }", onnx.twoInputModel())
      assert.deepEqual(outputs(one), ["a_copy"])
      assert.include(one.notes, "outputs that the configuration does not name are not served: sum")
      assert.strictEqual((one.config["output"] as ReadonlyArray<object>).length, 1)
    }))

  it.effect("gives requests another shape than the model has, where the configuration reshapes; a load with the configuration it shows changes nothing", () =>
    Effect.gen(function*() {
      const fixed = onnx.makeModel({
        inputs: [{ name: "data_0", shape: [1, 3, 4, 4] }], outputs: [{ name: "fc6_1", shape: [1, 3, 1, 1] }], nodes: [onnx.reduceMean("data_0", "fc6_1", { axes: { ints: [2, 3] } })]
      })
      const config = `max_batch_size: 0
        input [ { name: "data_0" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, 4, 4 ] reshape { shape: [ 1, 3, 4, 4 ] } } ]
        output [ { name: "fc6_1" dims: [ 3 ] reshape { shape: [ 1, 3, 1, 1 ] } } ]`
      const read = yield* configured(config, fixed)
      assert.deepEqual(read.model.signature.inputs[0], { name: "data_0", datatype: "FP32", shape: [1, 3, 4, 4], asked: [3, 4, 4] })
      assert.deepEqual(read.model.signature.outputs[0]!.asked, [3])
      assert.deepInclude((read.config["input"] as ReadonlyArray<object>)[0], { dims: [3, 4, 4], reshape: { shape: [1, 3, 4, 4] }, format: "FORMAT_NCHW" })
      assert.deepEqual((yield* configured(config, fixed, { override: JSON.stringify(read.config) })).model.signature, read.model.signature)

      const rows = onnx.makeModel({ inputs: [{ name: "x", shape: ["n"] }], outputs: [{ name: "y", shape: ["n"] }], nodes: [onnx.identity("x", "y")] })
      const batched = "max_batch_size: 8 input { name: \"x\" dims: [1] reshape { } } output { name: \"y\" dims: [1, 1] reshape { shape: [] } }"
      const joined = (yield* configured(batched, rows)).model
      assert.deepEqual([joined.signature.inputs[0]!.asked, joined.signature.outputs[0]!.asked, joined.signature.batchSymbol], [["n", 1], ["n", 1, 1], "n"])
      const alone = yield* configured(batched, rows, { settings: [{ maxBatch: 0 }] })
      assert.deepEqual(alone.model.signature.inputs[0]!.asked, ["n", 1])
      assert.deepInclude((alone.config["input"] as ReadonlyArray<object>)[0], { dims: [-1, 1], reshape: { shape: [-1] } })
      assert.deepEqual((yield* configured("", rows, { override: JSON.stringify(alone.config) })).model.signature, alone.model.signature)
    }))

  it.effect.each([
    ["max_batch_size: 4 input { name: \"x\" dims: [5] reshape { shape: [4] } }", "config.pbtxt:1:47: input[0].reshape: [4] has 4 elements, dims [5] 5"],
    ["max_batch_size: 4 input { name: \"x\" dims: [-1] reshape { shape: [4] } }", "input[0].reshape: is not supported where a size is -1"],
    ["max_batch_size: 4 input { name: \"x\" dims: [4] reshape { shape: [2, 2] } }", "input[0].reshape: gives 3 dimensions (a batch dimension and reshape), \"x\" has 2"],
    ["max_batch_size: 4 input { name: \"x\" dims: [2] reshape { shape: [2] } }", "input[0].reshape: [-1, 2] contradicts [-1, 4]"],
    ["max_batch_size: 4 input { name: \"x\" reshape { shape: [4] } }", "input[0].reshape: needs dims"],
    ["max_batch_size: 4\n\ninput { name: \"y\" }", "config.pbtxt:3:9: input[0].name: the model has no input \"y\"; did you mean \"x\"?"],
    ["output { name: \"output_of_the_model\" }", "the model has no output \"output_of_the_model\"; its outputs are \"y\""],
    ["input { name: \"x\" } input { name: \"x\" }", "input \"x\" is given twice"],
    ["input { name: \"x\"\n data_type: TYPE_INT64 }", "config.pbtxt:2:2: input[0].data_type: is TYPE_INT64, \"x\" is TYPE_FP32 in the model"],
    ["max_batch_size: 4 input { name: \"x\" dims: [5] }", "input[0].dims: [-1, 5] contradicts [-1, 4] of \"x\" in the model"],
    ["max_batch_size: 4 input { name: \"x\" dims: [-1, 4] }", "gives 3 dimensions (a batch dimension and dims), \"x\" has 2 in the model: [-1, 4]"],
    ["input { name: \"x\" dims: [4] }", "gives 1 dimensions; is max_batch_size missing?, \"x\" has 2"],
    ["input { name: \"x\" dims: [-2, 4] }", "-2 is no size"],
    ["name: \"other\"", "config.pbtxt:1:1: name: is \"other\", the model is called \"m\""],
    ["version_policy { specific { versions: [2] } }", "config.pbtxt:1:18: version_policy.specific: version 2 is not there; there are 1"],
    ["version_policy { specific { } }", "names no version"],
    ["default_model_filename: \"other.onnx\"", "1: has no other.onnx"],
    ["max_batch_size: oops", "config.pbtxt:1:17: max_batch_size: expected a whole number"]
  ] as ReadonlyArray<readonly [string, string]>)("refuses %j: %j", ([config, expected]) =>
    Effect.map(message(configured(config)), (text) => assert.include(text, expected)))

  it.effect("refuses batches where the file has none", () =>
    Effect.gen(function*() {
      const text = yield* message(configured("max_batch_size: 4", onnx.fixedBatchModel()))
      assert.include(text, "allows batches, but the leading dimension of input \"x\" is fixed at 2; set the maximum batch to 0")
      const shared = onnx.makeModel({
        inputs: [{ name: "a", shape: ["b", "s"] }, { name: "c", shape: ["b", "s"] }], outputs: [{ name: "y", shape: ["b"] }], nodes: []
      })
      assert.include(
        yield* message(configured("max_batch_size: 4 input { name: \"a\" dims: [3] } input { name: \"c\" dims: [4] }", shared)),
        "input[1].dims: makes \"s\" 4, elsewhere it is 3"
      )
    }))

  it.scoped("reads labels of outputs from the model's folder, and again when they change", () =>
    Effect.gen(function*() {
      const labelled = (name: string) => `output { name: "y" label_filename: "${name}" }`
      const directory = yield* folderOf({
        "secret.txt": "s", "m/1/model.onnx": identity, "m/config.pbtxt": labelled("labels.txt"), "m/labels.txt": "null\r\n\nzwei: ü\n", "plain.onnx": identity
      })
      const { config, model, notes } = yield* readOne(directory, "m")
      assert.deepEqual(model.labels, [["null", "", "zwei: ü"]])
      assert.deepEqual(Schema.decodeUnknownSync(Model)(JSON.parse(JSON.stringify(model))), model)
      assert.deepInclude((config["output"] as ReadonlyArray<object>)[0], { label_filename: "labels.txt" })
      assert.notInclude(notes.join(), "label")
      const before = (yield* scan(directory)).get("m")!.fingerprint
      fs.writeFileSync(path.join(directory, "m/labels.txt"), "one\n")
      assert.notStrictEqual((yield* scan(directory)).get("m")!.fingerprint, before)
      assert.isUndefined((yield* readOne(directory, "m", { override: "{\"output\":[{\"name\":\"y\",\"label_filename\":\"\"}]}" })).model.labels)
      fs.symlinkSync("/etc/hostname", path.join(directory, "m/linked.txt"))
      for (const [name, label, text] of [
        ["m", "none.txt", "output[0].label_filename: \"none.txt\": no such file"], ["m", "../secret.txt", "output[0].label_filename: \"../secret.txt\" is not in the model's folder"],
        ["m", "linked.txt", "is a link that leads out of the repository"], ["plain", "labels.txt", "needs a model in a folder of its own"]
      ] as const) {
        const override = JSON.stringify({ output: [{ name: "y", label_filename: label }] })
        assert.include((yield* Effect.flip(readOne(directory, name, { override }))).message, text)
      }
    }))

  it.scoped("a version's model.onnx may be a folder that holds it with its weights, as in Triton", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({ "m/1/model.onnx/model.onnx": identity, "m/1/model.onnx/weights.bin": "a", "none/1/model.onnx/other.onnx": identity })
      const { config, model } = yield* readOne(directory, "m")
      assert.strictEqual(model.path, path.join(directory, "m/1/model.onnx/model.onnx"))
      assert.strictEqual(config["default_model_filename"], "model.onnx")
      const before = (yield* scan(directory)).get("m")!.fingerprint
      fs.writeFileSync(path.join(directory, "m/1/model.onnx/weights.bin"), "other")
      assert.notStrictEqual((yield* scan(directory)).get("m")!.fingerprint, before)
      assert.include((yield* Effect.flip(readOne(directory, "none"))).message, "none/1/model.onnx: has no model.onnx")
    }))

  it.scoped("serves one version: the highest, or the one that is named", () =>
    Effect.gen(function*() {
      const versions = (config: string) => ({ "m/1/model.onnx": identity, "m/2/model.onnx": identity, "m/11/model.onnx": identity, "m/config.pbtxt": config })
      const version = (config: string) => Effect.map(plain(versions(config), "m"), ({ model }) => model.version)
      assert.strictEqual(yield* version(""), 11)
      assert.strictEqual(yield* version("version_policy { latest { } }"), 11)
      assert.strictEqual(yield* version("version_policy { specific { versions: [2] } }"), 2)
      for (const policy of ["all { }", "latest { num_versions: 2 }", "specific { versions: [1, 2] }"]) {
        const error = yield* Effect.flip(version(`version_policy { ${policy} }`))
        assert.strictEqual(error.reason, "unsupported")
        assert.include(error.message, "one version of a model is served")
      }
    }))

  it.scoped("a file that ONNX Runtime cannot read for its size, before it tries to", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({ "large.onnx": identity })
      const file = path.join(directory, "large.onnx")
      // A field that nobody knows, of 2 GiB that are not there.
      const unknown = [0xa2, 0x06, 0x80, 0x80, 0x80, 0x80, 0x08]
      fs.appendFileSync(file, Uint8Array.from(unknown))
      fs.truncateSync(file, identity.length + unknown.length + 2 ** 31)
      const error = yield* Effect.flip(readOne(directory, "large"))
      assert.strictEqual(error.reason, "unsupported")
      assert.include(error.message, "external data")
    }))

  it.effect("says where a broken model is broken", () =>
    Effect.gen(function*() {
      assert.match(yield* message(configured("", identity.subarray(0, 40))), /1\/model\.onnx at byte \d+: /)
      assert.isTrue(Either.isLeft(yield* Effect.either(configured("", new Uint8Array(0)))))
    }))
})

describe("readModelBytes", () => {
  it.scoped("reads a model with its weights, and nothing else than what was loaded", () =>
    Effect.gen(function*() {
      const weights = new Uint8Array(64).fill(7)
      const directory = yield* folderOf({
        "m/1/model.onnx": onnx.makeModel({
          inputs: [{ name: "x", shape: ["batch", 16] }], outputs: [{ name: "y", shape: ["batch", 16] }], nodes: [onnx.add(["x", "w"], "y")],
          initializers: [{ name: "w", dims: [16], data: new Float32Array(0), external: { location: "w.bin", offset: 0, length: 64 } }]
        }),
        "m/1/w.bin": weights
      })
      const [found] = yield* scanRepository(directory, { followLinks: false })
      const { model } = yield* readModel(found!, { followLinks: false, defaults: defaultSettings, settings: [] })
      const { bytes, external } = yield* Effect.promise(() => readModelBytes(model))
      assert.strictEqual(bytes.byteLength, model.files![0]!.sizeBytes)
      assert.deepStrictEqual(external.map(({ bytes, path }) => [path, new Uint8Array(bytes)]), [["w.bin", weights]])
      writeFiles(directory, { "m/1/w.bin": new Uint8Array(64).fill(8) })
      const refused = yield* Effect.promise(() => readModelBytes(model).then(() => undefined, (error: unknown) => error))
      assert(refused instanceof LoadFailure && refused.reason === "changed", String(refused))
      assert.include(refused.message, "w.bin")
    }))
})
