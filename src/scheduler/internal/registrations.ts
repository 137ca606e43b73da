/**
 * The models that are registered, and what the next plan is to take in: new and forgotten models, changes of what is asked of one, what was measured
 * since. All of it changes between plans only, so that a plan and what it is about always fit.
 */
import type { ModelName } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import { Amendments } from "./amendments.js"
import type { ModelChange, Registration } from "./registry.js"
import { amended, registration } from "./registry.js"

/** Told while changes are taken in. */
interface TakingIn {
  /** A model that the deployed plan has: it serves until its successor does. */
  readonly isPlaced: (name: ModelName) => boolean
  readonly onAdded: (model: Model) => void
  /** Another version is to serve in its place. */
  readonly onReplacing: (name: ModelName) => void
  readonly onRemoved: (name: ModelName) => void
  /** The same model with another objective, class or rate. */
  readonly onAmended: (old: Model, model: Model) => void
}

export class Registrations {
  /** What the deployed plan, or the one in the making, is about. */
  readonly registry = new Map<ModelName, Registration>()
  /** Undefined: forget the model. */
  private readonly wanted = new Map<ModelName, Registration | undefined>()
  /** Of models as they were before what is wanted now, and of those that are wanted. */
  private readonly earlier = new Amendments()
  private readonly later = new Amendments()

  register(model: Model, profiles: Registration["profiles"], onTaken?: () => void): void {
    // What came before says nothing of the new version, which has an objective and profiles of its own.
    this.later.give(model.name, this.earlier)
    this.wanted.set(model.name, registration(model, profiles, onTaken))
  }

  unregister(name: ModelName): void {
    this.wanted.set(name, undefined)
  }

  amend(name: ModelName, change: ModelChange): void {
    this.later.change(name, change)
  }

  learn(name: ModelName, profiles: Registration["profiles"]): void {
    this.later.learn(name, profiles)
  }

  /** As of the next plan. */
  isRegistered(name: ModelName): boolean {
    return this.wanted.has(name) ? this.wanted.get(name) !== undefined : this.registry.has(name)
  }

  /** Known, but no plan was made for it yet. */
  isExpected(name: ModelName): boolean {
    return this.wanted.get(name) !== undefined
  }

  get models(): ReadonlyMap<ModelName, Model> {
    return new Map([...this.registry.values()].map(({ model }) => [model.name, model]))
  }

  /** Those of which a new version is to serve in their place. */
  get replaced(): ReadonlyArray<Model> {
    return [...this.registry.values()].flatMap(({ replaces }) => (replaces === undefined ? [] : [replaces.model]))
  }

  /** Takes in what came since the last plan. */
  takeIn(taking: TakingIn): void {
    this.takeInAmendments(this.earlier, taking)
    this.takeInWanted(taking)
    this.takeInAmendments(this.later, taking)
  }

  private takeInWanted({ isPlaced, onAdded, onRemoved, onReplacing }: TakingIn): void {
    for (const [name, entry] of this.wanted) {
      const old = this.registry.get(name)
      if (entry === undefined) {
        this.registry.delete(name)
        onRemoved(name)
        continue
      }
      // What is not deployed needs no successor beside it.
      if (old !== undefined && isPlaced(name)) {
        entry.replaces = old.replaces ?? old
        entry.changes = old.replaces === undefined ? {} : old.changes
        onReplacing(name)
      } else {
        onAdded(entry.model)
        entry.onTaken()
      }
      this.registry.set(name, entry)
    }
    this.wanted.clear()
  }

  private takeInAmendments(amendments: Amendments, { onAmended }: TakingIn): void {
    for (const [name, profiles] of amendments.learned) {
      const entry = this.registry.get(name)
      if (entry !== undefined) this.registry.set(name, { ...entry, profiles: new Map([...entry.profiles, ...profiles]) })
    }
    for (const [name, change] of amendments.changes) {
      const entry = this.registry.get(name)
      if (entry === undefined) continue
      const model = amended(entry.model, change)
      this.registry.set(name, { ...entry, model, changes: { ...entry.changes, ...change } })
      // What is still replaced serves as it is until then.
      if (entry.replaces === undefined) onAmended(entry.model, model)
    }
    amendments.clear()
  }

  /** A new version is not taken: what it was to replace stays, with a note of why, and is held to what was asked since. */
  rollBack({ changes, model: { name, version }, replaces }: Registration, why: string, onAmended: TakingIn["onAmended"]): void {
    if (replaces === undefined) return
    const isAmended = Object.keys(changes).length > 0
    const model = isAmended ? amended(replaces.model, changes) : replaces.model
    this.registry.set(name, { ...replaces, model, note: `version ${version} was not taken: ${why}` })
    if (isAmended) onAmended(replaces.model, model)
  }
}
