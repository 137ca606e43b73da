/**
 * The planning thread as a worker of Node's. It is started with the first question and ended when none came for a while: between plans it costs
 * nothing.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import { sameProfiles } from "../scheduler/internal/sameProfiles.js"
import type { PlanAnswer, PlanMessage, PlanQuestion } from "../scheduler/PlanThread.js"
import { isRegistered } from "../scheduler/PlannerRegistry.js"
import { PlanThread, PlanThreadFailed } from "../scheduler/PlanThread.js"
import type { ProfilesByType } from "../scheduler/ProfileLatencyModel.js"

/** The bounds of the planning thread. @since 0.1.0 @category options */
export interface PlanThreadOptions {
  /** Longest time for one answer; then the thread is ended and the plan stays as it is. */
  readonly timeout: Duration.DurationInput
  /** How long the thread waits for another question before it ends. */
  readonly idle: Duration.DurationInput
  /** Largest heap of the thread, MiB. */
  readonly maxHeapMiB: number
  /** The thread's code; by default the file that the build puts beside whatever uses it. */
  readonly entry: URL | undefined
}

/** What stands where an option is left out. @since 0.1.0 @category options */
export const defaultPlanThreadOptions: PlanThreadOptions = { timeout: "20 seconds", idle: "10 seconds", maxHeapMiB: 1024, entry: undefined }

const isThere = (url: URL): boolean => fs.existsSync(fileURLToPath(url))

/** Beside this module where that is a bundle, else in the package's `dist`; undefined where nothing was built. */
const findEntry = (): URL | undefined =>
  ["./planner.js", "../../dist/planner.js"].map((place) => new URL(place, import.meta.url)).find(isThere)

const ask = (worker: Worker, message: PlanMessage): Effect.Effect<PlanAnswer, PlanThreadFailed> =>
  Effect.async<PlanAnswer, PlanThreadFailed>((resume) => {
    const end = (answer: Effect.Effect<PlanAnswer, PlanThreadFailed>): void => {
      worker.off("message", onMessage).off("error", onError).off("exit", onExit)
      resume(answer)
    }
    const died = (detail: string): void => end(Effect.fail(new PlanThreadFailed({ reason: "died", detail })))
    const onMessage = (answer: PlanAnswer): void => end(Effect.succeed(answer))
    const onError = (error: unknown): void => died(String(error))
    const onExit = (code: number): void => died(`it exited with code ${code}`)
    worker.on("message", onMessage).on("error", onError).on("exit", onExit)
    worker.postMessage(message)
    return Effect.sync(() => worker.off("message", onMessage).off("error", onError).off("exit", onExit))
  })

/** Questions are answered one at a time, in their order. @since 0.1.0 @category layers */
export const layer = (options: Partial<PlanThreadOptions> = {}): Layer.Layer<PlanThread> =>
  Layer.scoped(PlanThread, Effect.gen(function*() {
    const config: PlanThreadOptions = { ...defaultPlanThreadOptions, ...options }
    const scope = yield* Effect.scope
    const turn = yield* Effect.makeSemaphore(1)
    let worker: Worker | undefined
    // Profiles are most of a question, and rarely change.
    let sent: ProfilesByType | undefined
    const messageOf = ({ profiles, ...message }: PlanQuestion): PlanMessage => {
      const isKnown = sent !== undefined && sameProfiles(sent, profiles)
      sent = profiles
      return isKnown ? message : { ...message, profiles }
    }
    let ending: Fiber.RuntimeFiber<void> | undefined

    const start = Effect.try({
      try: () => {
        if (worker !== undefined) return worker
        const entry = config.entry ?? findEntry()
        if (entry === undefined || !isThere(entry)) throw new Error("planner.js was not built")
        const started = new Worker(entry, { resourceLimits: { maxOldGenerationSizeMb: config.maxHeapMiB } })
        // Whoever waits for an answer is told; without a listener an error between questions would take the server down.
        started.on("error", () => {}).on("exit", () => {
          if (worker === started) worker = undefined
        })
        // It never keeps the process alive.
        started.unref()
        worker = started
        sent = undefined
        return started
      },
      catch: (error) => new PlanThreadFailed({ reason: "not-started", detail: error instanceof Error ? error.message : String(error) })
    })
    const end = Effect.promise(async () => {
      const ended = worker
      worker = undefined
      await ended?.terminate()
    })
    yield* Effect.addFinalizer(() => end)

    return {
      knows: isRegistered,
      answer: (question) =>
        turn.withPermits(1)(Effect.gen(function*() {
          if (ending !== undefined) yield* Fiber.interrupt(ending)
          const thread = yield* start
          return yield* ask(thread, messageOf(question)).pipe(
            Effect.timeoutFail({
              duration: config.timeout,
              onTimeout: () => new PlanThreadFailed({ reason: "timed-out", detail: `no answer within ${Duration.format(Duration.decode(config.timeout))}` })
            }),
            // What does not answer, or has no one left to answer, is not asked again.
            Effect.onExit((exit) => (exit._tag === "Success" ? Effect.void : end)),
            Effect.ensuring(Effect.map(Effect.forkIn(Effect.zipRight(Effect.interruptible(Effect.sleep(config.idle)), end), scope), (fiber) => {
              ending = fiber
            }))
          )
        }))
    }
  }))
