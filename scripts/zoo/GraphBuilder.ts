/** Builds an architecture node by node: names its tensors, lists its weights with where they stand in the weights' file. */
import type { AttributeDef, NodeDef, TensorDef, ValueDef } from "../../test/support/onnx.js"
import { int64s, makeModel } from "../../test/support/onnx.js"

/** How a weight is filled. */
export interface WeightSpec {
  readonly elements: number
  readonly offset: number
  /** Standard deviation of a normal distribution; undefined: all `value`. */
  readonly deviation?: number
  readonly value?: number
}

/** The name of a tensor, and its channels where it has some. */
export interface Tensor {
  readonly name: string
  readonly channels: number
}

/** ONNX Runtime maps weights into memory where they begin on a page. */
const alignment = 4096
const opset = 17

export class GraphBuilder {
  readonly weights: Array<WeightSpec> = []
  private readonly nodes: Array<NodeDef> = []
  private readonly initializers: Array<TensorDef> = []
  private readonly constants = new Map<string, string>()
  private bytes = 0

  constructor(private readonly weightsFile: string) {}

  /** Adds a node with one output. */
  node(op: string, inputs: ReadonlyArray<string>, attributes: Readonly<Record<string, AttributeDef>> = {}, output?: string): string {
    const name = output ?? `${op.toLowerCase()}_${this.nodes.length}`
    this.nodes.push({ op, inputs, outputs: [name], attributes })
    return name
  }

  /** A float weight in the weights' file: He-normal over `fanIn` inputs, or a constant. */
  weight(dims: ReadonlyArray<number>, fill: { readonly fanIn: number } | { readonly value: number }): string {
    const elements = dims.reduce((n, dim) => n * dim, 1)
    const name = `weight_${this.initializers.length}`
    const external = { location: this.weightsFile, offset: this.bytes, length: 4 * elements }
    this.weights.push({ elements, offset: this.bytes, ..."fanIn" in fill ? { deviation: Math.sqrt(2 / fill.fanIn) } : { value: fill.value } })
    this.bytes = Math.ceil((this.bytes + 4 * elements) / alignment) * alignment
    this.initializers.push({ name, dims, data: new Float32Array(0), external })
    return name
  }

  /** Integers in the file itself; a scalar where `dims` is empty. */
  integers(values: ReadonlyArray<number>, dims: ReadonlyArray<number> = [values.length]): string {
    const key = JSON.stringify([values, dims])
    const known = this.constants.get(key)
    if (known !== undefined) return known
    const name = `constant_${this.initializers.length}`
    this.initializers.push(int64s(name, dims, values))
    this.constants.set(key, name)
    return name
  }

  /** Floats in the file itself, a scalar. */
  scalar(value: number): string {
    const name = `scalar_${this.initializers.length}`
    this.initializers.push({ name, dims: [], data: Float32Array.of(value) })
    return name
  }

  /** Convolution with bias: what is left of a batch norm that was folded into it. `groups` equal to the channels: depthwise. */
  conv(x: Tensor, channels: number, kernel: number, options: { readonly stride?: number; readonly padding?: number; readonly groups?: number } = {}): Tensor {
    const { groups = 1, padding = kernel >> 1, stride = 1 } = options
    const perGroup = x.channels / groups
    const weight = this.weight([channels, perGroup, kernel, kernel], { fanIn: perGroup * kernel * kernel })
    const bias = this.weight([channels], { value: 0.01 })
    const name = this.node("Conv", [x.name, weight, bias], {
      kernel_shape: { ints: [kernel, kernel] },
      strides: { ints: [stride, stride] },
      pads: { ints: [padding, padding, padding, padding] },
      dilations: { ints: [1, 1] },
      group: { i: groups }
    })
    return { name, channels }
  }

  relu(x: Tensor): Tensor {
    return { ...x, name: this.node("Relu", [x.name]) }
  }

  /** Clipped to 0..6. */
  relu6(x: Tensor): Tensor {
    return { ...x, name: this.node("Clip", [x.name, this.scalar(0), this.scalar(6)]) }
  }

  add(a: Tensor, b: Tensor): Tensor {
    return { ...a, name: this.node("Add", [a.name, b.name]) }
  }

  concat(parts: ReadonlyArray<Tensor>): Tensor {
    const name = this.node("Concat", parts.map((part) => part.name), { axis: { i: 1 } })
    return { name, channels: parts.reduce((sum, part) => sum + part.channels, 0) }
  }

  pool(kind: "Max" | "Average", x: Tensor, kernel: number, stride: number, padding = 0, ceil = false): Tensor {
    const name = this.node(`${kind}Pool`, [x.name], {
      kernel_shape: { ints: [kernel, kernel] },
      strides: { ints: [stride, stride] },
      pads: { ints: [padding, padding, padding, padding] },
      ceil_mode: { i: ceil ? 1 : 0 }
    })
    return { ...x, name }
  }

  /** Scale and shift by channel, as inference does it. */
  batchNorm(x: Tensor): Tensor {
    const one = () => this.weight([x.channels], { value: 1 })
    const zero = () => this.weight([x.channels], { value: 0 })
    return { ...x, name: this.node("BatchNormalization", [x.name, one(), zero(), zero(), one()], { epsilon: { f: 1e-5 } }) }
  }

  globalPool(x: Tensor): string {
    return this.node("Flatten", [this.node("GlobalAveragePool", [x.name])], { axis: { i: 1 } })
  }

  /** Fully connected on [batch, inputs]. */
  dense(x: string, inputs: number, outputs: number, output?: string): string {
    const weight = this.weight([outputs, inputs], { fanIn: inputs })
    return this.node("Gemm", [x, weight, this.weight([outputs], { value: 0 })], { transB: { i: 1 } }, output)
  }

  /** Fully connected on the last axis of a tensor of any rank. */
  project(x: string, inputs: number, outputs: number): string {
    return this.node("Add", [this.node("MatMul", [x, this.weight([inputs, outputs], { fanIn: 2 * inputs })]), this.weight([outputs], { value: 0 })])
  }

  layerNorm(x: string, width: number): string {
    const scale = this.weight([width], { value: 1 })
    return this.node("LayerNormalization", [x, scale, this.weight([width], { value: 0 })], { axis: { i: -1 }, epsilon: { f: 1e-12 } })
  }

  /** The file. */
  model(name: string, inputs: ReadonlyArray<ValueDef>, outputs: ReadonlyArray<ValueDef>): Uint8Array {
    return makeModel({ name, inputs, outputs, nodes: this.nodes, initializers: this.initializers, opset, producer: "glet-orion" })
  }
}
