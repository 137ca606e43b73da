/** Requests in a simulation. What belongs to a request hangs on the request itself, so that an end finds it without a look-up. */
import type { ModelName } from "../../core/Ids.js"
import type { InferRequest } from "../../core/Request.js"
import type { TensorSlot } from "../../core/TensorArena.js"
import type { Application, Load } from "../SimulationInput.js"
import type { StreamStatistics } from "./statistics.js"

export const isModel = (target: Load["target"]): target is ModelName => typeof target === "string"

const noSlot: TensorSlot = { bytes: new Uint8Array(0), offset: 0, release: () => {} }
const noBindings: ReadonlyArray<number> = []

/** One load's request of a model. All of a load's plain requests are the same object: the dispatcher only reads them. */
export class SimulatedRequest implements InferRequest {
  readonly slot = noSlot
  readonly bindings = noBindings
  readonly timeoutMs?: number

  constructor(
    readonly model: ModelName,
    /** The model's index. */
    readonly modelIndex: number,
    /** The load's index. */
    readonly load: number,
    /** The application's request whose step this is. */
    readonly whole: ApplicationRequest | undefined,
    readonly step: number,
    timeoutMs: number | undefined,
    readonly items = 1
  ) {
    if (timeoutMs !== undefined) this.timeoutMs = timeoutMs
  }
}

/** An application as the simulator runs it. */
export interface RunApplication {
  readonly application: Application
  readonly statistics: StreamStatistics
  /** Model indices of the steps. */
  readonly models: ReadonlyArray<number>
  /** Steps that wait for each step. */
  readonly followers: ReadonlyArray<ReadonlyArray<number>>
  /** Steps that wait for none. */
  readonly first: ReadonlyArray<number>
  /** For how many answers each step waits. */
  readonly waits: ReadonlyArray<number>
}

export const runApplication = (application: Application, statistics: StreamStatistics, indexOf: (model: ModelName) => number): RunApplication => {
  const followers: Array<Array<number>> = application.steps.map(() => [])
  application.steps.forEach(({ after }, step) => {
    for (const before of after) followers[before]!.push(step)
  })
  return {
    application, statistics, followers,
    models: application.steps.map(({ model }) => indexOf(model)),
    first: application.steps.flatMap(({ after }, step) => (after.length === 0 ? [step] : [])),
    waits: application.steps.map(({ after }) => after.length)
  }
}

/** One request of an application on its way. It ends once: with its last answer, or with the first step that gets none. */
export class ApplicationRequest {
  /** Answers that each step still waits for. */
  readonly waiting: Array<number>
  left: number
  ended = false

  constructor(readonly run: RunApplication, readonly load: number, readonly arrivedMs: number) {
    this.waiting = run.waits.slice()
    this.left = run.waits.length
  }
}
