/**
 * Writes ONNX files: just enough of the format for the models of tests, benches and the demo.
 *
 * Weights come from a seeded generator that uses integer arithmetic only, so the same call gives the same bytes on every machine.
 */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire"

/** Numbers of `TensorProto.DataType`. */
export const elemType = {
  float: 1, uint8: 2, int8: 3, uint16: 4, int16: 5, int32: 6, int64: 7, string: 8, bool: 9, float16: 10, double: 11, uint32: 12, uint64: 13,
  complex64: 14, bfloat16: 16
} as const

/** A dimension: a size, a symbol's name, or nothing at all (what exporters write for "unknown"). */
export type DimDef = number | string | null

export interface ValueDef {
  readonly name: string
  /** Float where absent. */
  readonly type?: number
  /** Undefined: the file declares no shape. */
  readonly shape?: ReadonlyArray<DimDef> | undefined
  readonly kind?: "tensor" | "sequence" | "map" | "optional" | "sparse"
}

export type AttributeDef =
  | { readonly i: number } | { readonly f: number } | { readonly s: string }
  | { readonly ints: ReadonlyArray<number> } | { readonly floats: ReadonlyArray<number> }
  | { readonly t: TensorDef } | { readonly g: Uint8Array }

export interface NodeDef {
  readonly op: string
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
  readonly attributes?: Readonly<Record<string, AttributeDef>>
  readonly domain?: string
}

export interface TensorDef {
  readonly name: string
  readonly dims: ReadonlyArray<number>
  /** Float32Array: float, BigInt64Array: int64. Not read where the data is external. */
  readonly data: Float32Array | BigInt64Array
  readonly external?: { readonly location: string; readonly offset?: number | string; readonly length?: number | string }
}

export interface GraphDef {
  readonly inputs: ReadonlyArray<ValueDef>
  readonly outputs: ReadonlyArray<ValueDef>
  readonly nodes: ReadonlyArray<NodeDef>
  readonly initializers?: ReadonlyArray<TensorDef>
  readonly name?: string
}

export interface ModelDef extends GraphDef {
  readonly opset?: number
  readonly irVersion?: number
  readonly producer?: string
}

const bytesField = (w: BinaryWriter, field: number, value: Uint8Array): BinaryWriter => w.tag(field, WireType.LengthDelimited).bytes(value)
const textField = (w: BinaryWriter, field: number, value: string): BinaryWriter => w.tag(field, WireType.LengthDelimited).string(value)
const intField = (w: BinaryWriter, field: number, value: number): BinaryWriter => w.tag(field, WireType.Varint).int64(value)
const message = (w: BinaryWriter, field: number, write: (w: BinaryWriter) => unknown): BinaryWriter => {
  w.tag(field, WireType.LengthDelimited).fork()
  write(w)
  return w.join()
}

const writeShape = (w: BinaryWriter, shape: ReadonlyArray<DimDef>): void => {
  for (const dim of shape) {
    message(w, 1, (w) => {
      if (typeof dim === "number") intField(w, 1, dim)
      else if (dim !== null) textField(w, 2, dim)
    })
  }
}

const writeTensorType = (w: BinaryWriter, value: ValueDef): void => {
  intField(w, 1, value.type ?? elemType.float)
  if (value.shape !== undefined) message(w, 2, (w) => writeShape(w, value.shape!))
}

const writeType = (w: BinaryWriter, value: ValueDef): void => {
  const tensor = (w: BinaryWriter) => message(w, 1, (w) => writeTensorType(w, value))
  switch (value.kind ?? "tensor") {
    case "tensor": return void tensor(w)
    case "sequence": return void message(w, 4, (w) => message(w, 1, tensor))
    case "map": return void message(w, 5, (w) => message(intField(w, 1, elemType.int64), 2, tensor))
    case "sparse": return void message(w, 8, (w) => writeTensorType(w, value))
    case "optional": return void message(w, 9, (w) => message(w, 1, tensor))
  }
}

const writeValue = (w: BinaryWriter, value: ValueDef): void => {
  textField(w, 1, value.name)
  message(w, 2, (w) => writeType(w, value))
}

const writeTensor = (w: BinaryWriter, tensor: TensorDef): void => {
  for (const dim of tensor.dims) intField(w, 1, dim)
  intField(w, 2, tensor.data instanceof Float32Array ? elemType.float : elemType.int64)
  textField(w, 8, tensor.name)
  if (tensor.external === undefined) {
    bytesField(w, 9, new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength))
    return
  }
  for (const [key, value] of Object.entries(tensor.external)) {
    message(w, 13, (w) => textField(textField(w, 1, key), 2, String(value)))
  }
  intField(w, 14, 1)
}

const writeAttribute = (w: BinaryWriter, name: string, attribute: AttributeDef): void => {
  textField(w, 1, name)
  if ("f" in attribute) intField(w.tag(2, WireType.Bit32).float(attribute.f), 20, 1)
  else if ("i" in attribute) intField(intField(w, 3, attribute.i), 20, 2)
  else if ("s" in attribute) intField(textField(w, 4, attribute.s), 20, 3)
  else if ("t" in attribute) intField(message(w, 5, (w) => writeTensor(w, attribute.t)), 20, 4)
  else if ("g" in attribute) intField(bytesField(w, 6, attribute.g), 20, 5)
  else if ("floats" in attribute) {
    for (const value of attribute.floats) w.tag(7, WireType.Bit32).float(value)
    intField(w, 20, 6)
  } else {
    for (const value of attribute.ints) intField(w, 8, value)
    intField(w, 20, 7)
  }
}

const writeNode = (w: BinaryWriter, node: NodeDef): void => {
  for (const input of node.inputs) textField(w, 1, input)
  for (const output of node.outputs) textField(w, 2, output)
  textField(w, 4, node.op)
  for (const [name, attribute] of Object.entries(node.attributes ?? {})) message(w, 5, (w) => writeAttribute(w, name, attribute))
  if (node.domain !== undefined) textField(w, 7, node.domain)
}

const writeGraph = (w: BinaryWriter, graph: GraphDef): void => {
  for (const node of graph.nodes) message(w, 1, (w) => writeNode(w, node))
  textField(w, 2, graph.name ?? "graph")
  for (const tensor of graph.initializers ?? []) message(w, 5, (w) => writeTensor(w, tensor))
  for (const input of graph.inputs) message(w, 11, (w) => writeValue(w, input))
  for (const output of graph.outputs) message(w, 12, (w) => writeValue(w, output))
}

/** A graph alone, for attributes of control-flow operators. */
export const makeGraph = (graph: GraphDef): Uint8Array => {
  const w = new BinaryWriter()
  writeGraph(w, graph)
  return w.finish()
}

/** An ONNX file. */
export const makeModel = (model: ModelDef): Uint8Array => {
  const w = new BinaryWriter()
  intField(w, 1, model.irVersion ?? 8)
  textField(w, 2, model.producer ?? "glet-orion")
  message(w, 7, (w) => writeGraph(w, model))
  message(w, 8, (w) => intField(w, 2, model.opset ?? 17))
  return w.finish()
}

type Op = (inputs: string | ReadonlyArray<string>, output: string, attributes?: Readonly<Record<string, AttributeDef>>) => NodeDef
const op = (name: string): Op => (inputs, output, attributes) => ({
  op: name,
  inputs: typeof inputs === "string" ? [inputs] : inputs,
  outputs: [output],
  ...(attributes === undefined ? {} : { attributes })
})

export const gemm = op("Gemm")
export const matMul = op("MatMul")
export const relu = op("Relu")
export const add = op("Add")
export const sub = op("Sub")
export const div = op("Div")
export const identity = op("Identity")
export const nonZero = op("NonZero")
export const gather = op("Gather")
export const reshape = op("Reshape")
export const reduceMean = op("ReduceMean")
export const conv = op("Conv")
export const convTranspose = op("ConvTranspose")
export const averagePool = op("AveragePool")
export const concat = op("Concat")
export const flatten = op("Flatten")
export const sigmoid = op("Sigmoid")
export const clip = op("Clip")
export const reduceL2 = op("ReduceL2")

/** Uniform numbers in [-1, 1) from a seed (mulberry32). */
export const seededUniform = (seed: number): () => number => {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 0x80000000 - 1
  }
}

export const floats = (name: string, dims: ReadonlyArray<number>, values: ArrayLike<number>): TensorDef => ({
  name, dims, data: Float32Array.from(values)
})
export const int64s = (name: string, dims: ReadonlyArray<number>, values: ReadonlyArray<number>): TensorDef => ({
  name, dims, data: BigInt64Array.from(values.map(BigInt))
})

/** Weights that keep the scale of what flows through them (He), from a seed. */
export const weights = (name: string, dims: ReadonlyArray<number>, fanIn: number, seed: number): TensorDef => {
  const next = seededUniform(seed)
  const bound = Math.sqrt(6 / fanIn)
  const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1))
  for (let i = 0; i < data.length; i++) data[i] = next() * bound
  return { name, dims, data }
}

/** `layers` square MatMul + Relu layers: input and output `x`, `y` [batch, width]. One item is bound by memory bandwidth. */
export const denseModel = (layers: number, width: number, seed = 1): Uint8Array => {
  const nodes: Array<NodeDef> = []
  const initializers: Array<TensorDef> = []
  for (let i = 0; i < layers; i++) {
    initializers.push(weights(`w${i}`, [width, width], width, seed + i))
    nodes.push(matMul([i === 0 ? "x" : `r${i - 1}`, `w${i}`], `m${i}`), relu(`m${i}`, i === layers - 1 ? "y" : `r${i}`))
  }
  return makeModel({
    inputs: [{ name: "x", shape: ["batch", width] }], outputs: [{ name: "y", shape: ["batch", width] }], nodes, initializers
  })
}

/** `y = x`, floats [batch, width]. */
export const identityModel = (width = 4): Uint8Array =>
  makeModel({
    inputs: [{ name: "x", shape: ["batch", width] }], outputs: [{ name: "y", shape: ["batch", width] }], nodes: [identity("x", "y")]
  })

/** `sum = a + b` and `a_copy = a`, floats [batch, 3]: two inputs, two outputs. */
export const twoInputModel = (): Uint8Array =>
  makeModel({
    inputs: [{ name: "a", shape: ["batch", 3] }, { name: "b", shape: ["batch", 3] }],
    outputs: [{ name: "sum", shape: ["batch", 3] }, { name: "a_copy", shape: ["batch", 3] }],
    nodes: [add(["a", "b"], "sum"), identity("a", "a_copy")]
  })

/** Embeds int64 `ids` [batch, sequence] (below `vocabulary`) and averages over the sequence: `embedding` floats [batch, width]. */
export const sequenceModel = (vocabulary = 32, width = 8, seed = 1): Uint8Array =>
  makeModel({
    inputs: [{ name: "ids", type: elemType.int64, shape: ["batch", "sequence"] }],
    outputs: [{ name: "tokens", shape: ["batch", "sequence", width] }, { name: "embedding", shape: ["batch", width] }],
    nodes: [
      gather(["table", "ids"], "tokens"),
      reduceMean("tokens", "embedding", { axes: { ints: [1] }, keepdims: { i: 0 } })
    ],
    initializers: [weights("table", [vocabulary, width], width, seed)]
  })

/** Indices of what is not zero in floats `x` [4]: `indices` int64 [1, found], known only after the run. */
export const nonZeroModel = (): Uint8Array =>
  makeModel({
    inputs: [{ name: "x", shape: [4] }],
    outputs: [{ name: "indices", type: elemType.int64, shape: [1, "found"] }],
    nodes: [nonZero("x", "indices")]
  })

/** `y = relu(x)`, floats [2, 3]: takes one request at a time. */
export const fixedBatchModel = (): Uint8Array =>
  makeModel({ inputs: [{ name: "x", shape: [2, 3] }], outputs: [{ name: "y", shape: [2, 3] }], nodes: [relu("x", "y")] })

/** `y = x + 1`, int64 [batch, 2]: for numbers beyond 2^53. */
export const int64Model = (): Uint8Array =>
  makeModel({
    inputs: [{ name: "x", type: elemType.int64, shape: ["batch", 2] }],
    outputs: [{ name: "y", type: elemType.int64, shape: ["batch", 2] }],
    nodes: [add(["x", "one"], "y")],
    initializers: [int64s("one", [1], [1])]
  })
