/**
 * Which model ends the processes that host it. Where many glets share a process, one such model takes all of them down, again and again; so it is
 * looked for, and taken out.
 *
 * Blame is by evidence only: what a process was loading or running when it died, time after time, without ever doing it well in between. Models
 * that run beside the culprit look the same at first; so once the same ones were there twice, the GPU runs one thing at a time (`isAmbiguous`), and
 * the next death has one suspect.
 *
 * @since 0.1.0
 */
import type { ModelName } from "../core/Ids.js"
import type { RestartOptions } from "./RestartPolicy.js"
import { defaultRestartOptions } from "./RestartPolicy.js"

/** What a model was doing when its process died. @since 0.1.0 @category restarts */
export type Doing = "loading" | "running"

/** What is held against a model. @since 0.1.0 @category restarts */
export interface Suspect {
  /** Deaths in a row that it was part of; 0 where it had no part in the last, as far as is known. */
  readonly deaths: number
  /** The last process that died where it was, and how many deaths it had been part of before. */
  readonly process: number
  readonly deathsBefore: number
  readonly doing: Doing
  /** Monotonic ms of the last death that it was part of. */
  readonly diedAtMs: number
}

/** The suspects of one GPU. @since 0.1.0 @category restarts */
export type BlameState = ReadonlyMap<ModelName, Suspect>

/** What one of its glets, or batches, tells of the death of a process. @since 0.1.0 @category restarts */
export interface ProcessDeath {
  readonly nowMs: number
  /** Which process: whatever is told of the same one is one death. */
  readonly process: number
  /** What was going on there. */
  readonly involved: ReadonlyArray<{ readonly model: ModelName; readonly doing: Doing }>
  /** Models of which all is told now: those not involved did nothing when it died. */
  readonly placed: ReadonlyArray<ModelName>
}

/** Of a GPU on which nothing died. @since 0.1.0 @category restarts */
export const noBlame: BlameState = new Map()

/** Takes in what one glet or batch tells of a death. @since 0.1.0 @category restarts */
export const recordDeath = (state: BlameState, death: ProcessDeath, options: RestartOptions = defaultRestartOptions): BlameState => {
  const { involved, nowMs, placed, process } = death
  const next = new Map(state)
  for (const { doing, model } of involved) {
    const known = next.get(model)
    const deathsBefore = known === undefined
      ? 0
      : known.process === process ? known.deathsBefore : nowMs - known.diedAtMs <= options.windowMs ? known.deaths : 0
    next.set(model, { deaths: deathsBefore + 1, process, deathsBefore, doing, diedAtMs: nowMs })
  }
  for (const model of placed) {
    const known = next.get(model)
    if (known !== undefined && known.process !== process) next.set(model, { ...known, deaths: 0, process, deathsBefore: known.deaths })
  }
  return next
}

/** A model did well what it is suspected of: running clears it, loading only of dying while it loads. @since 0.1.0 @category restarts */
export const recordSuccess = (state: BlameState, model: ModelName, doing: Doing): BlameState => {
  const suspect = state.get(model)
  if (suspect === undefined || (doing === "loading" && suspect.doing === "running")) return state
  return forgive(state, model)
}

/** Forgets what was held against a model. @since 0.1.0 @category restarts */
export const forgive = (state: BlameState, model: ModelName): BlameState => {
  if (!state.has(model)) return state
  const next = new Map(state)
  next.delete(model)
  return next
}

/**
 * The model that alone was part of `culpritExits` deaths in a row; undefined where there is none, or more than one.
 * @since 0.1.0
 * @category restarts
 */
export const culpritOf = (
  state: BlameState, options: RestartOptions = defaultRestartOptions
): (Suspect & { readonly model: ModelName }) | undefined => {
  const guilty = [...state].filter(([, { deaths }]) => deaths >= options.culpritExits)
  const [first] = guilty
  return guilty.length === 1 && first !== undefined ? { model: first[0], ...first[1] } : undefined
}

/**
 * Whether several models were part of the same two deaths or more, lately: then the GPU is to do one thing at a time, until each did well or one is
 * the culprit.
 * @since 0.1.0
 * @category restarts
 */
export const isAmbiguous = (state: BlameState, nowMs: number, options: RestartOptions = defaultRestartOptions): boolean => {
  let repeated = 0
  for (const { deaths, diedAtMs } of state.values()) if (deaths >= 2 && nowMs - diedAtMs <= options.windowMs) repeated += 1
  return repeated > 1
}
