/** The counters of a server. */
import type { Model } from "../../core/Model.js"
import { Histogram } from "./histogram.js"
import { ModelSeries } from "./modelSeries.js"

/** Everything counted. */
export class MetricsState {
  /** By model name and version. */
  readonly series = new Map<string, ModelSeries>()
  /** HTTP responses by status. */
  readonly responses = new Map<number, number>()
  readonly planning = new Histogram([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5])
  /** By kind and result of the action. */
  readonly actions = new Map<string, { readonly kind: string; readonly result: string; count: number }>()
  readonly exits = new Map<string, number>()
  private readonly byModel = new WeakMap<Model, ModelSeries>()

  of(model: Model): ModelSeries {
    const known = this.byModel.get(model)
    if (known !== undefined) return known
    const key = `${model.version} ${model.name}`
    let series = this.series.get(key)
    if (series === undefined) {
      series = new ModelSeries(model)
      this.series.set(key, series)
    }
    this.byModel.set(model, series)
    return series
  }
}
