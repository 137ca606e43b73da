import * as Effect from "effect/Effect"
import { ExitCode } from "../ExitCode.js"

/** Signals that ask a command to end. */
export type EndSignal = "SIGINT" | "SIGTERM"

export const exitCodeOfSignal = (signal: EndSignal): number => (signal === "SIGINT" ? ExitCode.interrupted : ExitCode.terminated)

let waiting: ((signal: EndSignal) => void) | undefined
let received = 0

/**
 * Completes with the first signal; for commands that end in an orderly way. Without it a signal interrupts the command. The second signal ends
 * the process at once in any case.
 */
export const endSignal: Effect.Effect<EndSignal> = Effect.async((resume) => {
  waiting = (signal) => resume(Effect.succeed(signal))
  return Effect.sync(() => {
    waiting = undefined
  })
})

/** Installs the handlers; `interrupt` is called by the first signal nobody waits for. */
export const installSignals = (interrupt: (signal: EndSignal) => void): void => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      received++
      if (received > 1) process.exit(exitCodeOfSignal(signal))
      if (waiting !== undefined) waiting(signal)
      else interrupt(signal)
    })
  }
}
