/** Whether servers that were silent at the end of a load are gone, or were only late with what came last. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { CliError } from "../CliError.js"
import { callServer, urlOf } from "../internal/serverClient.js"
import type { Silence } from "./ServerPool.js"

const goneError = ({ exchanges, sinceMs, target }: Silence): CliError =>
  new CliError({
    reason: "unreachable",
    problem: `the server at ${urlOf(target)} went away ${(sinceMs / 1000).toFixed(1)} s after the start: the last ${exchanges} exchanges had no answer`,
    hint: "see its log for why; the figures are of a load that it did not outlive"
  })

/** Fails with the first server that is gone. Whatever it answers, it is there. */
export const checkServers = (silent: ReadonlyArray<Silence>): Effect.Effect<void, CliError> =>
  Effect.forEach(silent, (silence) =>
    callServer(silence.target, "v2/health/live", Schema.Unknown).pipe(
      Effect.catchAll((error) => (error.reason === "unreachable" ? Effect.fail(goneError(silence)) : Effect.void))
    ), { discard: true })
