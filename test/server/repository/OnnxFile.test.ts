import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import * as fs from "node:fs"
import * as path from "node:path"
import { checkExternalData } from "../../../src/server/repository/ExternalData.js"
import { walkOnnx } from "../../../src/server/repository/internal/onnxWalk.js"
import { parseOnnx, readOnnx } from "../../../src/server/repository/OnnxFile.js"
import * as onnx from "../../support/onnx.js"
import { folderOf } from "./folder.js"

const right = <A, E>(either: Either.Either<A, E>): A => {
  if (Either.isLeft(either)) throw either.left
  return either.right
}
const left = <A, E>(either: Either.Either<A, E>): E => {
  if (Either.isRight(either)) throw new Error(`expected a failure, got ${JSON.stringify(either.right)}`)
  return either.left
}

const external = (location: string, extra: { offset?: number | string; length?: number | string } = {}, name = "w") =>
  onnx.makeModel({
    inputs: [{ name: "x", shape: ["batch", 4] }],
    outputs: [{ name: "y", shape: ["batch", 4] }],
    nodes: [onnx.matMul(["x", name], "y")],
    initializers: [{ name, dims: [4, 4], data: new Float32Array(0), external: { location, ...extra } }]
  })

describe("OnnxFile", () => {
  it("reads inputs, outputs, operator sets and producer", () => {
    const file = right(parseOnnx(onnx.sequenceModel()))
    assert.deepEqual(file.inputs.map(({ elemType, kind, name, shape }) => ({ elemType, kind, name, shape })), [
      { name: "ids", kind: "tensor", elemType: 7, shape: ["batch", "sequence"] }
    ])
    assert.deepEqual(file.outputs.map(({ name, shape }) => [name, shape]), [["tokens", ["batch", "sequence", 8]], ["embedding", ["batch", 8]]])
    assert.deepEqual([...file.opsets], [["", 17]])
    assert.strictEqual(file.producer, "glet-orion")
    assert.strictEqual(file.irVersion, 8)
  })

  it("leaves out inputs that have an initializer, reads missing, unnamed and negative dimensions", () => {
    const file = right(parseOnnx(onnx.makeModel({
      irVersion: 3,
      inputs: [{ name: "x", shape: [null, -1, "", 3] }, { name: "w", shape: [3] }, { name: "shapeless" }],
      outputs: [{ name: "y", shape: [] }],
      nodes: [onnx.add(["x", "w"], "y")],
      initializers: [onnx.floats("w", [3], [1, 2, 3])]
    })))
    assert.deepEqual(file.inputs.map(({ name, shape }) => [name, shape]), [["x", [undefined, undefined, undefined, 3]], ["shapeless", undefined]])
    assert.deepEqual(file.outputs[0]!.shape, [])
  })

  it("tells sequences, maps, optionals and sparse tensors from tensors", () => {
    for (const [kind, read] of [["sequence", "sequence"], ["map", "map"], ["optional", "optional"], ["sparse", "sparse tensor"]] as const) {
      const file = right(parseOnnx(onnx.makeModel({ inputs: [{ name: "x", kind, shape: [1] }], outputs: [], nodes: [] })))
      assert.strictEqual(file.inputs[0]!.kind, read)
    }
  })

  it("finds external data in initializers, attributes and branches", () => {
    const tensor = (name: string): onnx.TensorDef => ({ name, dims: [2, 3], data: new Float32Array(0), external: { location: `${name}.bin` } })
    const branch = onnx.makeGraph({ inputs: [], outputs: [{ name: "o", shape: [1] }], nodes: [], initializers: [tensor("branch")] })
    const file = right(parseOnnx(onnx.makeModel({
      inputs: [{ name: "x", shape: [1] }],
      outputs: [{ name: "y", shape: [1] }],
      initializers: [tensor("top")],
      nodes: [
        { op: "Constant", inputs: [], outputs: ["c"], attributes: { value: { t: tensor("constant") } } },
        { op: "If", inputs: ["x"], outputs: ["y"], attributes: { then_branch: { g: branch } } }
      ]
    })))
    assert.deepEqual(file.externalData, ["constant", "branch", "top"].map((name) => ({
      tensor: name, location: `${name}.bin`, offsetBytes: 0, lengthBytes: 24
    })))
    assert.deepEqual(file.inputs.map(({ name }) => name), ["x"], "inputs of branches are not the model's")
  })

  it("says where and what is wrong", () => {
    const model = onnx.identityModel()
    assert.include(left(parseOnnx(new Uint8Array(0), "m.onnx")).message, "m.onnx at byte 0: the file is empty")
    assert.match(left(parseOnnx(model.subarray(0, model.length - 9))).message, /beyond its message's end|cut off|ends here/)
    assert.match(left(parseOnnx(new TextEncoder().encode("hello, I am a text file"))).message, /at byte 0: field 13 has wire type|at byte \d+: /)
    assert.include(left(parseOnnx(Uint8Array.of(0x08, 0x07))).message, "there is no graph")
    assert.include(left(parseOnnx(Uint8Array.of(0x00, 0x01))).message, "expected a protobuf field")
    assert.include(left(parseOnnx(Uint8Array.of(0x38, 0x01))).message, "expected a graph in field 7")
    assert.include(left(parseOnnx(Uint8Array.from([0x08, ...Array<number>(11).fill(0xff)]))).message, "more than 10 bytes")
  })

  it("bounds nesting", () => {
    let graph = onnx.makeGraph({ inputs: [], outputs: [], nodes: [] })
    for (let i = 0; i < 200; i++) {
      graph = onnx.makeGraph({ inputs: [], outputs: [], nodes: [{ op: "If", inputs: [], outputs: [], attributes: { then_branch: { g: graph } } }] })
    }
    const model = onnx.makeModel({
      inputs: [], outputs: [], nodes: [{ op: "If", inputs: [], outputs: [], attributes: { then_branch: { g: graph } } }]
    })
    const error = left(parseOnnx(model))
    assert.strictEqual(error.reason, "unsupported")
    assert.include(error.message, "nested deeper")
  })

  it("never reads weights", () => {
    const model = onnx.denseModel(4, 512)
    const walk = walkOnnx(model.length)
    let bytes = 0
    let step = walk.next()
    while (step.done !== true) {
      const { length, offset } = step.value
      assert.isAtMost(offset + length, model.length)
      bytes += length
      step = walk.next(model.subarray(offset, offset + length))
    }
    assert.isAbove(model.length, 4_000_000)
    assert.isBelow(bytes, 100_000)
  })

  it("holds whatever bytes come: an answer or a typed error, with a position inside", () => {
    const models = [onnx.sequenceModel(), onnx.twoInputModel(), external("w.bin", { offset: 0, length: 64 }), onnx.denseModel(1, 4)]
    const mutated = fc.record({
      model: fc.constantFrom(...models),
      changes: fc.array(fc.record({ at: fc.nat(100_000), byte: fc.nat(255) }), { maxLength: 6 }),
      cut: fc.option(fc.nat(100_000)),
      twice: fc.boolean()
    }).map(({ changes, cut, model, twice }) => {
      const bytes = Uint8Array.from(twice ? [...model, ...model] : model)
      for (const { at, byte } of changes) bytes[at % bytes.length] = byte
      return cut === null ? bytes : bytes.subarray(0, cut % (bytes.length + 1))
    })
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), (bytes) => {
        const result = parseOnnx(bytes)
        if (Either.isLeft(result)) {
          assert.include(["invalid", "unsupported"], result.left.reason)
          assert.isAtLeast(result.left.offset!, 0)
          assert.isAtMost(result.left.offset!, bytes.length)
        } else for (const { shape } of result.right.inputs) shape?.forEach((dim) => assert.include(["number", "string", "undefined"], typeof dim))
      }),
      { numRuns: 1000, seed: 1 }
    )
  })

  it.scoped("reads files, and says what is no file", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({
        "a.onnx": onnx.identityModel(),
        "lfs.onnx": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
        "page.onnx": "<!DOCTYPE html><html>404</html>",
        "torch.onnx": "PK\u0003\u0004 and more",
        "d.onnx/x": ""
      })
      assert.match((yield* Effect.flip(readOnnx(path.join(directory, "page.onnx")))).message, /page\.onnx at byte 0: is a web page/)
      assert.include((yield* Effect.flip(readOnnx(path.join(directory, "torch.onnx")))).message, "PyTorch")
      assert.strictEqual((yield* readOnnx(path.join(directory, "a.onnx"))).inputs[0]!.name, "x")
      assert.include((yield* Effect.flip(readOnnx(path.join(directory, "lfs.onnx")))).message, "git lfs pull")
      assert.strictEqual((yield* Effect.flip(readOnnx(path.join(directory, "none.onnx")))).reason, "missing")
      assert.include((yield* Effect.flip(readOnnx(path.join(directory, "d.onnx")))).message, "not a regular file")
    }))

  it.scoped("a file of gigabytes costs a few kilobytes", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({})
      const file = path.join(directory, "large.onnx")
      // A sparse file: the header of a tensor of 3 GiB, then what follows it.
      const raw = 3 * 2 ** 30
      const varint = (value: number): Array<number> => (value < 128 ? [value] : [(value % 128) | 0x80, ...varint(Math.floor(value / 128))])
      const value = (field: number, name: string) => {
        const type = [0x12, 4, 0x0a, 2, 0x08, 1]
        return [field * 8 + 2, type.length + 2 + name.length, 0x0a, name.length, ...Buffer.from(name), ...type]
      }
      const tail = [...value(11, "x"), ...value(12, "y")]
      const tensorHead = [0x4a, ...varint(raw)]
      const tensor = [0x2a, ...varint(tensorHead.length + raw), ...tensorHead]
      const head = [0x08, 8, 0x3a, ...varint(tensor.length + raw + tail.length), ...tensor]
      const handle = fs.openSync(file, "w")
      fs.writeSync(handle, Uint8Array.from(head), 0, head.length, 0)
      fs.writeSync(handle, Uint8Array.from(tail), 0, tail.length, head.length + raw)
      fs.closeSync(handle)
      const read = yield* readOnnx(file)
      assert.deepEqual([read.inputs[0]!.name, read.outputs[0]!.name], ["x", "y"])
      assert.strictEqual(read.sizeBytes, head.length + raw + tail.length)
    }))
})

describe("external data", () => {
  const check = (directory: string, name: string, followLinks = false) =>
    Effect.gen(function*() {
      const file = path.join(directory, name)
      return yield* checkExternalData(file, yield* readOnnx(file), { followLinks })
    })

  it.scoped("counts pieces once, in folders below too", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({
        "m.onnx": onnx.makeModel({
          inputs: [{ name: "x", shape: [1] }], outputs: [{ name: "y", shape: [1] }], nodes: [],
          initializers: [["a", 0], ["b", 0], ["c", 64]].map(([name, offset]) => ({
            name: String(name), dims: [4, 4], data: new Float32Array(0), external: { location: "data/w.bin", offset: offset!, length: 64 }
          }))
        }),
        "data/w.bin": new Uint8Array(128)
      })
      const { byteLength, files } = yield* check(directory, "m.onnx")
      assert.strictEqual(byteLength, 128)
      assert.deepStrictEqual(files.map(({ location, path, sizeBytes }) => [location, path, sizeBytes]), [["data/w.bin", path.join(directory, "data/w.bin"), 128]])
    }))

  it.scoped("refuses to leave the model's folder", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({ "secret.bin": new Uint8Array(64), "repo/ok.onnx": external("w.bin") })
      const repo = path.join(directory, "repo")
      for (const location of ["../secret.bin", "a/../../secret.bin", "..\\secret.bin", path.join(directory, "secret.bin"), "C:\\secret.bin", "a\0b"]) {
        fs.writeFileSync(path.join(repo, "m.onnx"), external(location))
        const error = yield* Effect.flip(check(repo, "m.onnx"))
        assert.strictEqual(error.reason, "refused", location)
        assert.include(error.message, "tensor \"w\"")
      }
      fs.symlinkSync("../secret.bin", path.join(repo, "w.bin"))
      assert.include((yield* Effect.flip(check(repo, "ok.onnx"))).message, "leads out of the model's folder")
      assert.strictEqual((yield* check(repo, "ok.onnx", true)).byteLength, 64)
    }))

  it.scoped("says what is missing or too short", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({
        "gone.onnx": external("none.bin"),
        "short.onnx": external("w.bin", { offset: 8, length: 64 }),
        "implied.onnx": external("w.bin", { offset: 1 }),
        "text.onnx": external("w.bin", { offset: "many" }),
        "folder.onnx": external("sub"),
        "sub/x": "",
        "w.bin": new Uint8Array(64)
      })
      const gone = yield* Effect.flip(check(directory, "gone.onnx"))
      assert.strictEqual(gone.reason, "missing")
      assert.include(gone.message, "its data is in none.bin: no such file")
      assert.include((yield* Effect.flip(check(directory, "short.onnx"))).message, "ends at byte 72 of w.bin, which has 64 bytes")
      assert.include((yield* Effect.flip(check(directory, "implied.onnx"))).message, "ends at byte 65")
      assert.include((yield* Effect.flip(check(directory, "text.onnx"))).message, "found \"many\"")
      assert.include((yield* Effect.flip(check(directory, "folder.onnx"))).message, "not a regular file")
    }))
})
