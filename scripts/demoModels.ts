/**
 * The models of the demo that need no training.
 *
 * Every number is computed from formulas or a seeded integer generator and rounded before it is stored: the same bytes on every machine.
 */
import type { TensorDef } from "../test/support/onnx.js"
import {
  averagePool, clip, conv, convTranspose, div, flatten, floats, int64s, makeModel, matMul, add, reduceL2, relu, reshape, seededUniform,
  sigmoid, sub, weights
} from "../test/support/onnx.js"

// Sines and exponentials may differ in their last bits between engines; on a grid of 2^-16 they do not.
const onGrid = (value: number): number => Math.round(value * 65536) / 65536

/** The 64 orthonormal basis images of the 8x8 discrete cosine transform, [64,1,8,8]. */
const cosineBasis = (name: string, scale: number): TensorDef => {
  const size = 8
  const values: Array<number> = []
  for (let u = 0; u < size; u++) {
    for (let v = 0; v < size; v++) {
      const norm = (u === 0 ? Math.SQRT1_2 : 1) * (v === 0 ? Math.SQRT1_2 : 1) / 4
      for (let y = 0; y < size; y++) {
        for (let x = 0; x < size; x++) {
          values.push(onGrid(norm * Math.cos(((2 * y + 1) * u * Math.PI) / 16) * Math.cos(((2 * x + 1) * v * Math.PI) / 16)) * scale)
        }
      }
    }
  }
  return floats(name, [size * size, 1, size, size], values)
}

/**
 * Removes noise from 28x28 images: every 8x8 window is taken to the cosine domain, small coefficients shrink to zero, the windows are put back
 * and averaged (translation-invariant DCT shrinkage). `image`, `denoised` [batch,1,28,28], 0..1.
 */
export const denoiseModel = (thresholdAt = 0.2): Uint8Array => {
  const thresholds = Array.from({ length: 64 }, (_, i) => (i === 0 ? 0 : thresholdAt))
  return makeModel({
    name: "digits-denoise",
    inputs: [{ name: "image", shape: ["batch", 1, 28, 28] }],
    outputs: [{ name: "denoised", shape: ["batch", 1, 28, 28] }],
    initializers: [
      cosineBasis("analysis", 1),
      cosineBasis("synthesis", 1 / 64),
      floats("threshold", [64, 1, 1], thresholds),
      floats("zero", [], [0]),
      floats("one", [], [1])
    ],
    nodes: [
      conv(["image", "analysis"], "coefficients", { pads: { ints: [7, 7, 7, 7] } }),
      sub(["coefficients", "threshold"], "above"),
      relu("above", "positive"),
      add(["coefficients", "threshold"], "below"),
      clip(["below", "", "zero"], "negative"),
      add(["positive", "negative"], "shrunk"),
      convTranspose(["shrunk", "synthesis"], "averaged", { pads: { ints: [7, 7, 7, 7] } }),
      clip(["averaged", "zero", "one"], "denoised")
    ]
  })
}

/** Oriented edge filters: the derivative of a Gaussian along 8 directions at 2 scales, [16,1,5,5]. */
const edgeFilters = (name: string): TensorDef => {
  const values: Array<number> = []
  for (const sigma of [0.8, 1.4]) {
    for (let direction = 0; direction < 8; direction++) {
      const angle = (direction * Math.PI) / 4
      const kernel: Array<number> = []
      for (let y = -2; y <= 2; y++) {
        for (let x = -2; x <= 2; x++) {
          const along = x * Math.cos(angle) + y * Math.sin(angle)
          kernel.push(along * Math.exp(-(x * x + y * y) / (2 * sigma * sigma)))
        }
      }
      const norm = kernel.reduce((sum, value) => sum + Math.abs(value), 0)
      values.push(...kernel.map((value) => onGrid(value / norm)))
    }
  }
  return floats(name, [16, 1, 5, 5], values)
}

/**
 * Describes a 28x28 image by 64 numbers of unit length: oriented edges, pooled over 4x4 cells, randomly projected (which keeps distances), so
 * that the inner product of two descriptions says how alike two digits look. `image` [batch,1,28,28], `embedding` [batch,64].
 */
export const featuresModel = (seed = 7): Uint8Array => {
  const next = seededUniform(seed)
  const projection = Array.from({ length: 784 * 64 }, () => (next() < 0 ? -0.125 : 0.125))
  return makeModel({
    name: "digits-features",
    inputs: [{ name: "image", shape: ["batch", 1, 28, 28] }],
    outputs: [{ name: "embedding", shape: ["batch", 64] }],
    initializers: [edgeFilters("edges"), floats("projection", [784, 64], projection), floats("epsilon", [], [2 ** -20])],
    nodes: [
      conv(["image", "edges"], "responses", { pads: { ints: [2, 2, 2, 2] } }),
      relu("responses", "strengths"),
      averagePool("strengths", "cells", { kernel_shape: { ints: [4, 4] }, strides: { ints: [4, 4] } }),
      flatten("cells", "description", { axis: { i: 1 } }),
      matMul(["description", "projection"], "projected"),
      reduceL2("projected", "length", { axes: { ints: [1] }, keepdims: { i: 1 } }),
      add(["length", "epsilon"], "divisor"),
      div(["projected", "divisor"], "embedding")
    ]
  })
}

/**
 * Scores 32 candidates of 48 features each with a small perceptron, the shape of a nightly ranking job; its weights are random.
 * `candidates` [batch,32,48], `scores` [batch,32] in 0..1.
 */
export const rankingModel = (seed = 11): Uint8Array =>
  makeModel({
    name: "ranking-batch",
    inputs: [{ name: "candidates", shape: ["batch", 32, 48] }],
    outputs: [{ name: "scores", shape: ["batch", 32] }],
    initializers: [
      weights("w1", [48, 192], 48, seed), weights("b1", [192], 192, seed + 1),
      weights("w2", [192, 64], 192, seed + 2), weights("b2", [64], 64, seed + 3),
      weights("w3", [64, 1], 64, seed + 4),
      int64s("shape", [2], [-1, 32])
    ],
    nodes: [
      matMul(["candidates", "w1"], "m1"), add(["m1", "b1"], "a1"), relu("a1", "h1"),
      matMul(["h1", "w2"], "m2"), add(["m2", "b2"], "a2"), relu("a2", "h2"),
      matMul(["h2", "w3"], "logits"), reshape(["logits", "shape"], "rows"), sigmoid("rows", "scores")
    ]
  })

/** The demo's models by file name. */
export const demoModels = (): ReadonlyMap<string, Uint8Array> =>
  new Map([
    ["digits-denoise.onnx", denoiseModel()],
    ["digits-features.onnx", featuresModel()],
    ["ranking-batch.onnx", rankingModel()]
  ])
