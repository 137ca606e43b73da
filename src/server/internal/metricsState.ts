/** The counters of a server. */
import type { Model, ServiceClass } from "../../core/Model.js"
import { Histogram } from "./histogram.js"
import { ModelSeries } from "./modelSeries.js"

const keyAs = ({ name, version }: Model, serviceClass: ServiceClass): string => `${version} ${name} ${serviceClass}`

/** Everything counted. */
export class MetricsState {
  /** By model name and version, and once more for requests that were served as another class than the model's. */
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
    const series = this.make(`${model.version} ${model.name}`, model, undefined)
    this.byModel.set(model, series)
    return series
  }

  /** Of requests that were served as a class: the model's own, or what they asked for. */
  servedAs(model: Model, serviceClass: ServiceClass): ModelSeries {
    return serviceClass === model.serviceClass ? this.of(model) : this.make(keyAs(model, serviceClass), model, serviceClass)
  }

  /** The same, where there were such requests. */
  findAs(model: Model, serviceClass: ServiceClass): ModelSeries | undefined {
    return this.series.get(keyAs(model, serviceClass))
  }

  private make(key: string, model: Model, askedAs: ServiceClass | undefined): ModelSeries {
    let series = this.series.get(key)
    if (series === undefined) {
      series = new ModelSeries(model, askedAs)
      this.series.set(key, series)
    }
    return series
  }
}
