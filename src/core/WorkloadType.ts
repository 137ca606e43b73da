/**
 * What kind of work a model is: how much of its time it spends in operators that arithmetic limits, in ones that memory bandwidth limits, and in
 * ones that neither does. Three ways to find out, none of which needs hardware counters: operators against a measured roofline (S. Williams et al.:
 * Roofline, 2009), the slope of latency against share, and what two stressors beside it do to it.
 *
 * @since 0.1.0
 */
import type { ProfilePoint, TypeVector, WorkloadType } from "./Profile.js"

/** A tensor as onnxruntime's profile tells it. @since 0.1.0 @category types */
export interface TracedTensor {
  /** onnxruntime's name of the element type, e.g. `float`. */
  readonly type: string
  readonly shape: ReadonlyArray<number>
}

/** One operator of one execution: what went in and out, and how long it took, µs (a median over executions). @since 0.1.0 @category types */
export interface TracedNode {
  readonly op: string
  readonly inputs: ReadonlyArray<TracedTensor>
  readonly outputs: ReadonlyArray<TracedTensor>
  readonly us: number
  /** The shortest time, where there were several: what the device can do when nothing disturbs it. */
  readonly leastUs?: number
}

/** What a device can do at most, as measured. Their ratio is the ridge. @since 0.1.0 @category types */
export interface Roofline {
  readonly flopPerS: number
  readonly bytesPerS: number
}

/** What one node of a model computes and moves, by its shapes. @since 0.1.0 @category types */
export interface NodeWork {
  readonly flop: number
  readonly bytes: number
}

const elementBytes = new Map([
  ["bool", 1], ["uint8", 1], ["int8", 1], ["uint16", 2], ["int16", 2], ["float16", 2], ["bfloat16", 2], ["uint32", 4], ["int32", 4], ["float", 4],
  ["uint64", 8], ["int64", 8], ["double", 8]
])
const elements = ({ shape }: TracedTensor): number => shape.reduce((product, size) => product * size, 1)
const bytesOf = (tensor: TracedTensor): number => elements(tensor) * (elementBytes.get(tensor.type) ?? 4)
const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

/** Operators that only say how a tensor is to be read. */
const views = new Set(["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Size", "Constant"])
/** Operators that read of their first input no more than they put out. */
const gathers = new Set(["Gather", "GatherElements", "GatherND", "Slice", "EmbedLayerNormalization"])
/** Arithmetic per element, beside 1: transcendental functions count as a polynomial of some ten terms. */
const perElement = new Map([
  ["Softmax", 12], ["LogSoftmax", 12], ["Gelu", 14], ["BiasGelu", 15], ["FastGelu", 15], ["Erf", 12], ["Exp", 10], ["Tanh", 12], ["Sigmoid", 12], ["QuickGelu", 13],
  ["LayerNormalization", 8], ["SkipLayerNormalization", 9], ["SimplifiedLayerNormalization", 6], ["BatchNormalization", 2], ["LRN", 15], ["Sqrt", 4], ["Pow", 10]
])
const isPooling = (op: string): boolean => /Pool$|^Reduce/.test(op)

/** Multiply-adds of a product whose result has `out` elements: the length of the sums. */
const innerLength = (op: string, a: TracedTensor, b: TracedTensor, out: TracedTensor): number =>
  op.includes("Gemm") ? Math.round(Math.sqrt((elements(a) * elements(b)) / Math.max(1, elements(out)))) : a.shape[a.shape.length - 1] ?? 1

/**
 * Floating-point operations and bytes of an operator, by its shapes: each operand read once, the result written once. Caches may make it less,
 * implementations more.
 * @since 0.1.0
 * @category types
 */
export const nodeWork = ({ inputs, op, outputs }: Pick<TracedNode, "op" | "inputs" | "outputs">): NodeWork => {
  if (views.has(op)) return { flop: 0, bytes: 0 }
  const outBytes = sum(outputs.map(bytesOf))
  const outElements = sum(outputs.map(elements))
  const [first, second] = inputs
  if (gathers.has(op)) return { flop: 0, bytes: 2 * outBytes + sum(inputs.slice(1).map(bytesOf)) }
  const bytes = outBytes + sum(inputs.map(bytesOf))
  if (/Conv/.test(op) && !op.includes("Transpose")) {
    // [out, in / groups, kernel...]; quantised ones have scales and zero points before the weights.
    const weights = op.startsWith("QLinear") ? inputs[3] : second
    if (weights !== undefined && weights.shape.length > 2) return { flop: 2 * outElements * weights.shape.slice(1).reduce((product, size) => product * size, 1), bytes }
  }
  if (op.includes("ConvTranspose") && first !== undefined && second !== undefined) {
    return { flop: 2 * elements(first) * second.shape.slice(1).reduce((product, size) => product * size, 1), bytes }
  }
  if (/MatMul|Gemm/.test(op) && first !== undefined) {
    const other = op.startsWith("QLinear") ? inputs[3] : second
    const [out] = outputs
    if (other !== undefined && out !== undefined && other.shape.length > 1) return { flop: 2 * elements(out) * innerLength(op, first, other, out), bytes }
    if (out !== undefined) {
      // Weights that onnxruntime has repacked for itself no longer show: they are as large as they must be.
      const inner = first.shape[first.shape.length - 1] ?? 1
      const repacked = { type: first.type, shape: [inner, out.shape[out.shape.length - 1] ?? 1] }
      return { flop: 2 * elements(out) * inner, bytes: bytes + bytesOf(repacked) }
    }
  }
  return { flop: isPooling(op) ? sum(inputs.map(elements)) : outElements * (perElement.get(op) ?? 1), bytes }
}

/** Below this part of what the roofline allows an operator is limited by neither: by its launch, its synchronisation, its latencies. */
const reached = 0.1

/**
 * The vector of traced operators. `measured` false: the times are not the device's, and each operator is taken to run at the roofline, no faster than
 * `launchUs`.
 * @since 0.1.0
 * @category types
 */
export const vectorOfNodes = (
  nodes: ReadonlyArray<TracedNode>, roofline: Roofline, options: { readonly measured: boolean; readonly launchUs?: number } = { measured: true }
): Omit<TypeVector, "batch" | "sharePct"> => {
  const time = { compute: 0, memory: 0, other: 0 }
  let flop = 0
  let bytes = 0
  for (const node of nodes) {
    const work = nodeWork(node)
    const computeUs = (work.flop / roofline.flopPerS) * 1e6
    const memoryUs = (work.bytes / roofline.bytesPerS) * 1e6
    const boundUs = Math.max(computeUs, memoryUs)
    const us = options.measured ? node.us : work.bytes === 0 ? 0 : Math.max(boundUs, options.launchUs ?? 0)
    flop += work.flop
    bytes += work.bytes
    time[boundUs < reached * us || boundUs === 0 ? "other" : computeUs >= memoryUs ? "compute" : "memory"] += us
  }
  const us = time.compute + time.memory + time.other
  const part = (value: number): number => (us > 0 ? value / us : 0)
  return {
    compute: part(time.compute), memory: part(time.memory), other: us > 0 ? Math.max(0, 1 - part(time.compute) - part(time.memory)) : 1,
    flop, bytes, flopPerS: us > 0 ? (flop / us) * 1e6 : 0, bytesPerS: us > 0 ? (bytes / us) * 1e6 : 0,
    computeDemand: us > 0 ? Math.min(1, (flop / us) * 1e6 / roofline.flopPerS) : 0,
    memoryDemand: us > 0 ? Math.min(1, (bytes / us) * 1e6 / roofline.bytesPerS) : 0
  }
}

/** @since 0.1.0 @category types */
export type TypeLabel = "compute-bound" | "memory-bound" | "balanced"

/** For people: three fifths of the time make a label (Orion's threshold). @since 0.1.0 @category types */
export const labelOf = ({ compute, memory }: WorkloadType): TypeLabel =>
  compute >= 0.6 ? "compute-bound" : memory >= 0.6 ? "memory-bound" : "balanced"

/**
 * The part of an execution's time that more units would shorten, by the slope of its latency: L(s) = a + b/s fitted (least squares of relative
 * errors) to the measured shares; b/(a + b) on the whole device. Memory bandwidth is not divided by shares, so what does not scale is not limited by
 * arithmetic. Undefined where fewer than two shares have the batch.
 * @since 0.1.0
 * @category types
 */
export const scalingPart = (points: ReadonlyArray<Pick<ProfilePoint, "sharePct" | "batch" | "p50Ms">>, batch: number): number | undefined => {
  const known = points.filter((point) => point.batch === batch)
  if (new Set(known.map(({ sharePct }) => sharePct)).size < 2) return undefined
  // Minimises sum ((a + b x) / y - 1)^2.
  let uu = 0
  let uv = 0
  let vv = 0
  let u1 = 0
  let v1 = 0
  for (const { p50Ms, sharePct } of known) {
    const u = 1 / p50Ms
    const v = 100 / sharePct / p50Ms
    uu += u * u
    uv += u * v
    vv += v * v
    u1 += u
    v1 += v
  }
  const determinant = uu * vv - uv * uv
  if (!(determinant > 1e-12 * uu * vv)) return undefined
  const a = Math.max(0, (u1 * vv - v1 * uv) / determinant)
  const b = Math.max(0, (v1 - a * uv) / vv)
  return a + b > 0 ? b / (a + b) : undefined
}

/** Slow-downs of a model beside each stressor, 1 where it suffers nothing. @since 0.1.0 @category types */
export interface StressedBy {
  readonly compute: number
  readonly memory: number
}

/** Of what the stressors did to it together, the part of the one of memory; undefined where neither did anything. @since 0.1.0 @category types */
export const memoryPartByStress = ({ compute, memory }: StressedBy): number | undefined => {
  const c = Math.max(0, compute - 1)
  const m = Math.max(0, memory - 1)
  return c + m > 0.02 ? m / (c + m) : undefined
}
