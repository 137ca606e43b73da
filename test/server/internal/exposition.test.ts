import { assert, describe, it } from "@effect/vitest"
import { Exposition } from "../../../src/server/internal/exposition.js"
import { batchBounds, Histogram, latencyBounds } from "../../../src/server/internal/histogram.js"

describe("metrics text", () => {
  it("escapes label values", () => {
    const page = new Exposition().family("a_total", "counter", "help\nwith \\").sample([["model", "q\"b\\s\nn"]], 3)
    assert.strictEqual(page.toString(), "# HELP a_total help\\nwith \\\\\n# TYPE a_total counter\na_total{model=\"q\\\"b\\\\s\\nn\"} 3\n")
  })

  it("histograms are cumulative, bounds included", () => {
    const histogram = new Histogram([2, 1, 2])
    for (const value of [0.5, 1, 1.5, 2, 99]) histogram.observe(value)
    assert.strictEqual(
      new Exposition().family("h", "histogram", "x").histogram([], histogram).toString().split("\n").slice(2).join("\n"),
      "h_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 4\nh_bucket{le=\"+Inf\"} 5\nh_sum 104\nh_count 5\n"
    )
  })

  it("bounds stand around the SLO and ascend", () => {
    const histogram = new Histogram(latencyBounds(30))
    for (const ms of [7.5, 15, 22.5, 30, 45, 60, 120]) assert.include([...histogram.bounds], ms / 1000)
    assert.deepStrictEqual([...histogram.bounds], [...histogram.bounds].sort((a, b) => a - b))
    assert.deepStrictEqual(batchBounds(1), [1])
    assert.deepStrictEqual(batchBounds(6), [1, 2, 4, 6])
  })
})
