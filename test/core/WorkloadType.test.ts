import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { TracedNode } from "../../src/core/WorkloadType.js"
import { labelOf, memoryPartByStress, nodeWork, scalingPart, vectorOfNodes } from "../../src/core/WorkloadType.js"

const float = (...shape: ReadonlyArray<number>) => ({ type: "float", shape })
const size = fc.integer({ min: 1, max: 6 })

describe("nodeWork", () => {
  it("counts a convolution's multiply-adds as the loops do", () => {
    fc.assert(fc.property(size, size, size, size, size, size, size, (batch, groups, perGroupIn, perGroupOut, kernel, height, width) => {
      let flop = 0
      for (let b = 0; b < batch; b++) for (let o = 0; o < groups * perGroupOut; o++) for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
        for (let i = 0; i < perGroupIn; i++) for (let k = 0; k < kernel * kernel; k++) flop += 2
      }
      const work = nodeWork({
        op: "Conv", inputs: [float(batch, groups * perGroupIn, height, width), float(groups * perGroupOut, perGroupIn, kernel, kernel), float(groups * perGroupOut)],
        outputs: [float(batch, groups * perGroupOut, height, width)]
      })
      assert.strictEqual(work.flop, flop)
    }))
  })

  it("counts products, batched or not, and the bytes of their operands", () => {
    fc.assert(fc.property(size, size, size, size, (batch, m, k, n) => {
      assert.deepStrictEqual(nodeWork({ op: "MatMul", inputs: [float(batch, m, k), float(batch, k, n)], outputs: [float(batch, m, n)] }), {
        flop: 2 * batch * m * k * n, bytes: 4 * batch * (m * k + k * n + m * n)
      })
      // Repacked weights do not show, with or without a bias.
      const whole = nodeWork({ op: "MatMul", inputs: [float(m, k), float(k, n)], outputs: [float(m, n)] })
      assert.deepStrictEqual(nodeWork({ op: "MatMul", inputs: [float(m, k)], outputs: [float(m, n)] }), whole)
      assert.strictEqual(nodeWork({ op: "FusedGemm", inputs: [float(m, k), float(n)], outputs: [float(m, n)] }).flop, whole.flop)
      // Transposed or not, the shapes of Gemm say the same.
      for (const [a, b] of [[float(m, k), float(k, n)], [float(k, m), float(n, k)]] as const) {
        assert.strictEqual(nodeWork({ op: "Gemm", inputs: [a, b], outputs: [float(m, n)] }).flop, 2 * m * k * n)
      }
    }))
  })

  it("a look-up reads what it puts out, not its table; a view nothing", () => {
    const indices = { type: "int64", shape: [4] }
    assert.deepStrictEqual(nodeWork({ op: "Gather", inputs: [float(1_000_000, 64), indices], outputs: [float(4, 64)] }), { flop: 0, bytes: 2 * 4 * 64 * 4 + 32 })
    assert.deepStrictEqual(nodeWork({ op: "Reshape", inputs: [float(8, 8), indices], outputs: [float(64)] }), { flop: 0, bytes: 0 })
    assert.strictEqual(nodeWork({ op: "Relu", inputs: [{ type: "float16", shape: [8, 8] }], outputs: [{ type: "float16", shape: [8, 8] }] }).bytes, 256)
  })
})

describe("vectorOfNodes", () => {
  const roofline = { flopPerS: 1e12, bytesPerS: 1e11 }
  const product = (us: number): TracedNode => ({ op: "MatMul", inputs: [float(512, 512), float(512, 512)], outputs: [float(512, 512)], us })
  const copy = (us: number): TracedNode => ({ op: "Relu", inputs: [float(1024, 1024)], outputs: [float(1024, 1024)], us })

  it("parts sum to 1, and demands are parts of what the device can do", () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), fc.double({ min: 1, max: 1e5, noNaN: true })), { minLength: 1, maxLength: 20 }), fc.boolean(), (nodes, measured) => {
      const vector = vectorOfNodes(nodes.map(([isProduct, us]) => (isProduct ? product(us) : copy(us))), roofline, { measured, launchUs: 2 })
      assert.closeTo(vector.compute + vector.memory + vector.other, 1, 1e-9)
      for (const part of [vector.compute, vector.memory, vector.other, vector.computeDemand, vector.memoryDemand]) assert.isTrue(part >= 0 && part <= 1)
    }))
  })

  it("tells arithmetic from memory by the ridge, and both from what reaches neither", () => {
    // 268 MFLOP take 268 us at best, 8.4 MB take 84.
    assert.strictEqual(labelOf(vectorOfNodes([product(300)], roofline)), "compute-bound")
    assert.strictEqual(labelOf(vectorOfNodes([copy(100)], roofline)), "memory-bound")
    assert.strictEqual(vectorOfNodes([product(3000), copy(900)], roofline).other, 1)
    assert.strictEqual(labelOf(vectorOfNodes([product(300), copy(300)], roofline)), "balanced")
    // The same product where arithmetic is ten times as fast is limited by its operands.
    assert.strictEqual(labelOf(vectorOfNodes([product(60)], { flopPerS: 1e13, bytesPerS: 1e11 })), "memory-bound")
    assert.deepInclude(vectorOfNodes([], roofline), { compute: 0, memory: 0, other: 1, flop: 0 })
  })

  it("without times of the device every operator runs at the roofline, or as long as its launch", () => {
    const vector = vectorOfNodes([product(1e9), copy(1), { op: "Relu", inputs: [float(4)], outputs: [float(4)], us: 1e9 }], roofline, { measured: false, launchUs: 5 })
    const total = 268.435456 + 83.88608 + 5
    assert.closeTo(vector.compute, 268.435456 / total, 1e-9)
    assert.closeTo(vector.other, 5 / total, 1e-9)
  })
})

describe("scalingPart", () => {
  it("finds the part that units shorten", () => {
    fc.assert(fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0.1, max: 100, noNaN: true }), (part, ms) => {
      const points = [10, 25, 50, 100].map((sharePct) => ({ sharePct, batch: 4, p50Ms: ms * (1 - part + (part * 100) / sharePct) }))
      assert.closeTo(scalingPart(points, 4)!, part, 1e-6)
    }))
  })
  it("says nothing of one share", () => {
    assert.isUndefined(scalingPart([{ sharePct: 50, batch: 1, p50Ms: 1 }, { sharePct: 100, batch: 2, p50Ms: 1 }], 1))
  })
})

describe("memoryPartByStress", () => {
  it("is the part of what memory did, where anything was done", () => {
    assert.closeTo(memoryPartByStress({ compute: 1.1, memory: 1.3 })!, 0.75, 1e-9)
    assert.strictEqual(memoryPartByStress({ compute: 0.98, memory: 1.3 }), 1)
    assert.isUndefined(memoryPartByStress({ compute: 1.01, memory: 0.99 }))
  })
})
