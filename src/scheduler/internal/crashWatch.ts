/** The blame for deaths, GPU by GPU: what is held against which model (CrashBlame). */
import type { GpuId, ModelName } from "../../core/Ids.js"
import type { BlameState, Doing, ProcessDeath, Suspect } from "../CrashBlame.js"
import { culpritOf, forgive, isAmbiguous, noBlame, recordDeath, recordSuccess } from "../CrashBlame.js"
import type { RestartOptions } from "../RestartPolicy.js"

export class CrashWatch {
  private readonly states = new Map<GpuId, BlameState>()
  private suspects = 0

  constructor(private readonly options: RestartOptions) {}

  /** Whether there is anybody to clear. */
  get isAlert(): boolean {
    return this.suspects > 0
  }

  died(gpu: GpuId, death: ProcessDeath): void {
    this.set(gpu, recordDeath(this.of(gpu), death, this.options))
  }

  succeeded(gpu: GpuId, model: ModelName, doing: Doing): void {
    this.set(gpu, recordSuccess(this.of(gpu), model, doing))
  }

  /** Forgets what was held against a model: it is another one now, or was taken out. */
  forgive(model: ModelName): void {
    for (const [gpu, state] of this.states) this.set(gpu, forgive(state, model))
  }

  culpritOn(gpu: GpuId): (Suspect & { readonly model: ModelName }) | undefined {
    return culpritOf(this.of(gpu), this.options)
  }

  isAmbiguous(nowMs: number, gpu: GpuId): boolean {
    return isAmbiguous(this.of(gpu), nowMs, this.options)
  }

  private of(gpu: GpuId): BlameState {
    return this.states.get(gpu) ?? noBlame
  }

  private set(gpu: GpuId, state: BlameState): void {
    this.suspects += state.size - this.of(gpu).size
    this.states.set(gpu, state)
  }
}
