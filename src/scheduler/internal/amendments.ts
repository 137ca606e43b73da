/** What came of models since the last plan, but for new versions of them: what is asked of them now, and what was measured. */
import type { ModelName } from "../../core/Ids.js"
import type { ModelChange, Registration } from "./registry.js"

export class Amendments {
  readonly changes = new Map<ModelName, ModelChange>()
  readonly learned = new Map<ModelName, Registration["profiles"]>()

  change(name: ModelName, change: ModelChange): void {
    this.changes.set(name, { ...this.changes.get(name), ...change })
  }

  learn(name: ModelName, profiles: Registration["profiles"]): void {
    this.learned.set(name, new Map([...(this.learned.get(name) ?? []), ...profiles]))
  }

  /** Moves what there is of a model. */
  give(name: ModelName, to: Amendments): void {
    const change = this.changes.get(name)
    const profiles = this.learned.get(name)
    if (change !== undefined) to.change(name, change)
    if (profiles !== undefined) to.learn(name, profiles)
    this.changes.delete(name)
    this.learned.delete(name)
  }

  clear(): void {
    this.changes.clear()
    this.learned.clear()
  }
}
