/** The parts of an ONNX file that serving needs, by a walk that never touches weights. Field numbers: onnx.proto3. */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire"
import type { OnnxDim, OnnxExternalData, OnnxFile, OnnxValue } from "../OnnxModel.js"
import type { Field, Walk } from "./protoWalk.js"
import { ProtoCursor, WalkError } from "./protoWalk.js"

/** Graphs in attributes (branches, loop bodies) within graphs. */
const deepestGraph = 32
const mostValues = 4096

interface Found {
  irVersion: number
  producer: string
  hasGraph: boolean
  readonly opsets: Map<string, number>
  readonly inputs: Array<OnnxValue>
  readonly outputs: Array<OnnxValue>
  readonly initializers: Set<string>
  readonly externalData: Array<OnnxExternalData>
}

export function* walkOnnx(size: number): Walk<OnnxFile> {
  if (size === 0) throw new WalkError(0, "the file is empty")
  const cursor = new ProtoCursor(size)
  const found: Found = {
    irVersion: 0, producer: "", hasGraph: false, opsets: new Map(), inputs: [], outputs: [], initializers: new Set(), externalData: []
  }
  for (let at = 0; at < size;) {
    const field = yield* cursor.field(at, size)
    at = field.end
    if (field.number === 1) found.irVersion = field.value
    else if (field.number === 2) found.producer = yield* cursor.text(message(field, "a producer"))
    else if (field.number === 7) {
      found.hasGraph = true
      yield* walkGraph(cursor, message(field, "a graph"), found, 0)
    } else if (field.number === 8) {
      const opset = readOpset(yield* cursor.bytes(message(field, "an operator set")), field)
      found.opsets.set(opset.domain, opset.version)
    } else if (field.number === 25) yield* walkFunction(cursor, message(field, "a function"), found)
  }
  if (!found.hasGraph) throw new WalkError(size, "there is no graph: this is not an ONNX model")
  return {
    irVersion: found.irVersion,
    producer: found.producer,
    opsets: found.opsets,
    // Before IR version 4 weights had to be listed as inputs too, and later ones may be: they have values and nobody sends them.
    inputs: found.inputs.filter((input) => !found.initializers.has(input.name)),
    outputs: found.outputs,
    externalData: found.externalData,
    sizeBytes: size
  }
}

function* walkGraph(cursor: ProtoCursor, graph: Field, found: Found, depth: number): Walk<void> {
  if (depth > deepestGraph) throw new WalkError(graph.at, `graphs are nested deeper than ${deepestGraph}`, "unsupported")
  for (let at = graph.start; at < graph.end;) {
    const field = yield* cursor.field(at, graph.end)
    at = field.end
    if (field.number === 1) yield* walkNode(cursor, message(field, "a node"), found, depth)
    else if (field.number === 5) {
      const name = yield* walkTensor(cursor, message(field, "a tensor"), found)
      if (depth === 0) found.initializers.add(name)
    } else if (field.number === 15) {
      const name = yield* walkSparse(cursor, message(field, "a sparse tensor"), found)
      if (depth === 0) found.initializers.add(name)
    } else if (depth === 0 && (field.number === 11 || field.number === 12)) {
      const values = field.number === 11 ? found.inputs : found.outputs
      if (values.length >= mostValues) throw new WalkError(field.at, `more than ${mostValues} inputs or outputs`, "unsupported")
      values.push(readValue(yield* cursor.bytes(message(field, "an input or output")), field))
    }
  }
}

function* walkFunction(cursor: ProtoCursor, fn: Field, found: Found): Walk<void> {
  for (let at = fn.start; at < fn.end;) {
    const field = yield* cursor.field(at, fn.end)
    at = field.end
    if (field.number === 7) yield* walkNode(cursor, message(field, "a node"), found, 1)
  }
}

/** Tensors and graphs in attributes matter for one reason: they too may name files outside. */
function* walkNode(cursor: ProtoCursor, node: Field, found: Found, depth: number): Walk<void> {
  for (let at = node.start; at < node.end;) {
    const field = yield* cursor.field(at, node.end)
    at = field.end
    if (field.number !== 5) continue
    const attribute = message(field, "an attribute")
    for (let inner = attribute.start; inner < attribute.end;) {
      const part = yield* cursor.field(inner, attribute.end)
      inner = part.end
      if (part.number === 5 || part.number === 10) yield* walkTensor(cursor, message(part, "a tensor"), found)
      else if (part.number === 6 || part.number === 11) yield* walkGraph(cursor, message(part, "a graph"), found, depth + 1)
      else if (part.number === 22 || part.number === 23) yield* walkSparse(cursor, message(part, "a sparse tensor"), found)
    }
  }
}

function* walkSparse(cursor: ProtoCursor, sparse: Field, found: Found): Walk<string> {
  let name = ""
  for (let at = sparse.start; at < sparse.end;) {
    const field = yield* cursor.field(at, sparse.end)
    at = field.end
    if (field.number !== 1 && field.number !== 2) continue
    const inner = yield* walkTensor(cursor, message(field, "a tensor"), found)
    if (field.number === 1) name = inner
  }
  return name
}

function* walkTensor(cursor: ProtoCursor, tensor: Field, found: Found): Walk<string> {
  let name = ""
  let elemType = 0
  let elements = 1
  let external = false
  const entries = new Map<string, string>()
  for (let at = tensor.start; at < tensor.end;) {
    const field = yield* cursor.field(at, tensor.end)
    at = field.end
    if (field.number === 1) {
      const dims = field.wire === WireType.Varint ? [field.value] : readPacked(yield* cursor.bytes(message(field, "dimensions")), field)
      for (const dim of dims) elements *= dim
    } else if (field.number === 2) elemType = field.value
    else if (field.number === 8) name = yield* cursor.text(message(field, "a name"))
    else if (field.number === 13) {
      const [key, value] = readEntry(yield* cursor.bytes(message(field, "a key and value")), field)
      entries.set(key, value)
    } else if (field.number === 14) external = field.value === 1
  }
  if (external) {
    const location = entries.get("location") ?? ""
    if (location === "") throw new WalkError(tensor.at, "its data is external, but it names no file", "invalid", name)
    const offsetBytes = wholeNumber(entries.get("offset") ?? "0", tensor, name)
    const length = entries.get("length")
    found.externalData.push({
      tensor: name,
      location,
      offsetBytes,
      lengthBytes: length === undefined ? Math.ceil((elements * (bitsOfElement.get(elemType) ?? 8)) / 8) : wholeNumber(length, tensor, name)
    })
  }
  return name
}

const bitsOfElement = new Map([
  [1, 32], [2, 8], [3, 8], [4, 16], [5, 16], [6, 32], [7, 64], [9, 8], [10, 16], [11, 64], [12, 32], [13, 64], [14, 64], [15, 128], [16, 16],
  [17, 8], [18, 8], [19, 8], [20, 8], [21, 4], [22, 4], [23, 4]
])

const wholeNumber = (text: string, tensor: Field, name: string): number => {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
  if (!Number.isSafeInteger(value)) throw new WalkError(tensor.at, `expected a whole number of bytes in its external data, found "${text.slice(0, 40)}"`, "invalid", name)
  return value
}

const message = (field: Field, what: string): Field => {
  if (field.wire !== WireType.LengthDelimited) throw new WalkError(field.at, `expected ${what} in field ${field.number}, found wire type ${field.wire}`)
  return field
}

/** Reads a small message with the library's reader; where it fails, the error points into the file. */
const small = <A>(bytes: Uint8Array, field: Field, read: (reader: BinaryReader) => A): A => {
  const reader = new BinaryReader(bytes)
  try {
    return read(reader)
  } catch (cause) {
    if (cause instanceof WalkError) throw cause
    throw new WalkError(field.start + Math.min(reader.pos, bytes.length), `field ${field.number} is damaged: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

/** Visits the fields of a small message; what `visit` does not read is skipped. */
const eachField = (reader: BinaryReader, visit: (number: number, wire: WireType) => boolean): void => {
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag()
    if (!visit(number, wire)) reader.skip(wire, number)
  }
}

const expectWire = (wire: WireType, expected: WireType): true => {
  if (wire !== expected) throw new Error(`expected wire type ${expected}, found ${wire}`)
  return true
}
const text = (reader: BinaryReader, wire: WireType): string => (expectWire(wire, WireType.LengthDelimited), reader.string())
const nested = (reader: BinaryReader, wire: WireType): BinaryReader => (expectWire(wire, WireType.LengthDelimited), new BinaryReader(reader.bytes()))
const integer = (reader: BinaryReader, wire: WireType): number => (expectWire(wire, WireType.Varint), Number(reader.int64()))

const readPacked = (bytes: Uint8Array, field: Field): ReadonlyArray<number> =>
  small(bytes, field, (reader) => {
    const values: Array<number> = []
    while (reader.pos < reader.len) values.push(Number(reader.int64()))
    return values
  })

const readOpset = (bytes: Uint8Array, field: Field): { readonly domain: string; readonly version: number } =>
  small(bytes, field, (reader) => {
    let domain = ""
    let version = 0
    eachField(reader, (number, wire) => {
      if (number === 1) domain = text(reader, wire)
      else if (number === 2) version = integer(reader, wire)
      else return false
      return true
    })
    return { domain, version }
  })

const readEntry = (bytes: Uint8Array, field: Field): readonly [string, string] =>
  small(bytes, field, (reader) => {
    let key = ""
    let value = ""
    eachField(reader, (number, wire) => {
      if (number === 1) key = text(reader, wire)
      else if (number === 2) value = text(reader, wire)
      else return false
      return true
    })
    return [key, value]
  })

const kinds = new Map<number, OnnxValue["kind"]>([
  [1, "tensor"], [4, "sequence"], [5, "map"], [7, "opaque"], [8, "sparse tensor"], [9, "optional"]
])

const readDim = (reader: BinaryReader): OnnxDim => {
  let dim: OnnxDim
  eachField(reader, (number, wire) => {
    if (number === 1) {
      const value = integer(reader, wire)
      // Some exporters write -1 for "any".
      dim = value < 0 ? undefined : value
    } else if (number === 2) {
      const name = text(reader, wire)
      dim = name === "" ? undefined : name
    } else return false
    return true
  })
  return dim
}

const readShape = (reader: BinaryReader): ReadonlyArray<OnnxDim> => {
  const dims: Array<OnnxDim> = []
  eachField(reader, (number, wire) => number === 1 && (dims.push(readDim(nested(reader, wire))), true))
  return dims
}

const readValue = (bytes: Uint8Array, field: Field): OnnxValue =>
  small(bytes, field, (reader) => {
    let name = ""
    let kind: OnnxValue["kind"] = "untyped"
    let elemType = 0
    let shape: ReadonlyArray<OnnxDim> | undefined
    const readType = (type: BinaryReader) =>
      eachField(type, (number, wire) => {
        const found = kinds.get(number)
        if (found === undefined) return false
        kind = found
        if (found !== "tensor") return false
        const tensor = nested(type, wire)
        eachField(tensor, (number, wire) => {
          if (number === 1) elemType = integer(tensor, wire)
          else if (number === 2) shape = readShape(nested(tensor, wire))
          else return false
          return true
        })
        return true
      })
    eachField(reader, (number, wire) => {
      if (number === 1) name = text(reader, wire)
      else if (number === 2) readType(nested(reader, wire))
      else return false
      return true
    })
    return { name, kind, elemType, shape, offset: field.at }
  })
