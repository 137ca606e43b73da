/** A detector, a language model and a ranking model. */
import { elemType } from "../../test/support/onnx.js"
import type { Tensor } from "./GraphBuilder.js"
import { GraphBuilder } from "./GraphBuilder.js"

/** Liu et al.: SSD (2015) on Howard et al.: MobileNets (2017), 300x300, 21 classes, 1917 boxes, without non-maximum suppression. */
export const ssdMobilenetV1 = (weightsFile: string) => {
  const g = new GraphBuilder(weightsFile)
  const classes = 21
  const separable = (x: Tensor, width: number, stride = 1): Tensor =>
    g.relu6(g.conv(g.relu6(g.conv(x, x.channels, 3, { stride, groups: x.channels })), width, 1))
  let x = g.relu6(g.conv({ name: "input", channels: 3 }, 32, 3, { stride: 2 }))
  for (const [width, stride] of [[64, 1], [128, 2], [128, 1], [256, 2], [256, 1], [512, 2]] as const) x = separable(x, width, stride)
  for (let i = 0; i < 5; i++) x = separable(x, 512)
  const maps = [x]
  x = separable(separable(x, 1024, 2), 1024)
  maps.push(x)
  for (const [narrow, width] of [[256, 512], [128, 256], [128, 256], [64, 128]] as const) {
    x = g.relu6(g.conv(g.relu6(g.conv(x, narrow, 1)), width, 3, { stride: 2 }))
    maps.push(x)
  }
  /** One prediction per box and place, of all maps behind each other. */
  const heads = (values: number, name: string): void => {
    const flat = maps.map((map, i) => {
      const head = g.conv(map, (i === 0 ? 3 : 6) * values, 3)
      const last = g.node("Transpose", [head.name], { perm: { ints: [0, 2, 3, 1] } })
      return g.node("Reshape", [last, g.integers([0, -1, values])])
    })
    g.node("Concat", flat, { axis: { i: 1 } }, name)
  }
  heads(4, "boxes")
  heads(classes, "scores")
  return {
    weights: g.weights,
    file: g.model("ssd-mobilenetv1", [{ name: "input", shape: ["batch", 3, 300, 300] }], [
      { name: "boxes", shape: ["batch", 1917, 4] },
      { name: "scores", shape: ["batch", 1917, classes] }
    ])
  }
}

/** Devlin et al.: BERT (2018), base, with a classifier of two classes. */
export const bertBase = (weightsFile: string) => {
  const g = new GraphBuilder(weightsFile)
  const [width, heads, layers, vocabulary, longest] = [768, 12, 12, 30522, 512]
  const words = g.node("Gather", [g.weight([vocabulary, width], { fanIn: 2 * width }), "input_ids"])
  const sequence = g.node("Gather", [g.node("Shape", ["input_ids"]), g.integers([1])])
  const places = g.node("Slice", [g.weight([longest, width], { fanIn: 2 * width }), g.integers([0]), sequence, g.integers([0])])
  const kind = g.weight([width], { value: 0.01 })
  let x = g.layerNorm(g.node("Add", [g.node("Add", [words, places]), kind]), width)
  // 0 where attended, else a large negative number, for [batch, heads, sequence, sequence].
  const mask = g.node("Unsqueeze", [g.node("Cast", ["attention_mask"], { to: { i: elemType.float } }), g.integers([1, 2])])
  const bias = g.node("Mul", [g.node("Sub", [g.scalar(1), mask]), g.scalar(-10_000)])
  const apart = g.integers([0, 0, heads, width / heads])
  const split = (name: string, perm: ReadonlyArray<number>): string =>
    g.node("Transpose", [g.node("Reshape", [name, apart])], { perm: { ints: perm } })
  const rootTwo = g.scalar(Math.SQRT2)
  for (let layer = 0; layer < layers; layer++) {
    const query = split(g.project(x, width, width), [0, 2, 1, 3])
    const key = split(g.project(x, width, width), [0, 2, 3, 1])
    const value = split(g.project(x, width, width), [0, 2, 1, 3])
    const scores = g.node("Div", [g.node("MatMul", [query, key]), g.scalar(Math.sqrt(width / heads))])
    const weights = g.node("Softmax", [g.node("Add", [scores, bias])], { axis: { i: -1 } })
    const mixed = g.node("Transpose", [g.node("MatMul", [weights, value])], { perm: { ints: [0, 2, 1, 3] } })
    const attended = g.project(g.node("Reshape", [mixed, g.integers([0, 0, width])]), width, width)
    x = g.layerNorm(g.node("Add", [attended, x]), width)
    const inner = g.project(x, width, 4 * width)
    // GELU, spelt out as exporters do.
    const erf = g.node("Add", [g.node("Erf", [g.node("Div", [inner, rootTwo])]), g.scalar(1)])
    const gelu = g.node("Mul", [g.node("Mul", [inner, erf]), g.scalar(0.5)])
    x = g.layerNorm(g.node("Add", [g.project(gelu, 4 * width, width), x]), width)
  }
  const first = g.node("Gather", [x, g.integers([0], [])], { axis: { i: 1 } })
  g.dense(g.node("Tanh", [g.dense(first, width, width)]), width, 2, "logits")
  const ids = { type: elemType.int64, shape: ["batch", "sequence"] }
  return {
    weights: g.weights,
    file: g.model("bert-base", [{ name: "input_ids", ...ids }, { name: "attention_mask", ...ids }], [{ name: "logits", shape: ["batch", 2] }])
  }
}

/** After Naumov et al.: DLRM (2019), small: 26 features of 32 indices each into one table, summed up, between two perceptrons. */
export const dlrmSmall = (weightsFile: string) => {
  const g = new GraphBuilder(weightsFile)
  const [rows, width, features, perFeature, dense] = [52_000, 64, 26, 32, 13]
  const rowsOf = g.node("Gather", [g.weight([rows, width], { fanIn: 2 * width }), "indices"])
  const sums = g.node("ReduceSum", [rowsOf, g.integers([2])], { keepdims: { i: 0 } })
  const bottom = g.node("Relu", [g.dense(g.node("Relu", [g.dense("dense", dense, 256)]), 256, width)])
  const all = g.node("Concat", [g.node("Unsqueeze", [bottom, g.integers([1])]), sums], { axis: { i: 1 } })
  const top = g.node("Relu", [g.dense(g.node("Flatten", [all], { axis: { i: 1 } }), (features + 1) * width, 256)])
  g.node("Sigmoid", [g.dense(top, 256, 1)], {}, "score")
  return {
    weights: g.weights,
    file: g.model("dlrm-small", [
      { name: "dense", shape: ["batch", dense] },
      { name: "indices", type: elemType.int64, shape: ["batch", features, perFeature] }
    ], [{ name: "score", shape: ["batch", 1] }])
  }
}
