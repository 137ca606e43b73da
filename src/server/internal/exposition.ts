/** Writes Prometheus' text format. */
import type { Histogram } from "./histogram.js"

export type Labels = ReadonlyArray<readonly [name: string, value: string]>

const escaped = (value: string): string => value.replace(/\\/g, "\\\\").replace(/"/g, "\\\"").replace(/\n/g, "\\n")

const labelText = (labels: Labels): string =>
  labels.length === 0 ? "" : `{${labels.map(([name, value]) => `${name}="${escaped(value)}"`).join(",")}}`

const numberText = (value: number): string => value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value)

export class Exposition {
  private text = ""
  private name = ""

  /** Begins a metric; its samples follow. */
  family(name: string, type: "counter" | "gauge" | "histogram", help: string): this {
    this.name = name
    this.text += `# HELP ${name} ${help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")}\n# TYPE ${name} ${type}\n`
    return this
  }

  sample(labels: Labels, value: number, suffix = ""): this {
    this.text += `${this.name}${suffix}${labelText(labels)} ${numberText(value)}\n`
    return this
  }

  histogram(labels: Labels, histogram: Histogram): this {
    let below = 0
    for (let i = 0; i < histogram.bounds.length; i++) {
      below += histogram.counts[i]!
      this.sample([...labels, ["le", numberText(histogram.bounds[i]!)]], below, "_bucket")
    }
    return this.sample([...labels, ["le", "+Inf"]], histogram.count, "_bucket")
      .sample(labels, histogram.sum, "_sum")
      .sample(labels, histogram.count, "_count")
  }

  toString(): string {
    return this.text
  }
}
