/**
 * The commands with what runs them, as @effect/cli wants them.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import type { CommandSpec, ParsedArgs } from "./CommandSpec.js"
import { makeCommand } from "./parse.js"
import { batch } from "./specs/batch.js"
import { bench } from "./specs/bench.js"
import { config } from "./specs/config.js"
import { cuda } from "./specs/cuda.js"
import { demo } from "./specs/demo.js"
import { demoClient } from "./specs/demoClient.js"
import { dev } from "./specs/dev.js"
import { doctor } from "./specs/doctor.js"
import { models } from "./specs/models.js"
import { plan } from "./specs/plan.js"
import { profile } from "./specs/profile.js"
import { run } from "./specs/run.js"
import { serve } from "./specs/serve.js"
import { simulate } from "./specs/simulate.js"
import { status } from "./specs/status.js"

/** A command whose code is loaded when it runs, and whose parser is built when it is asked for. */
const lazily = <S extends CommandSpec>(
  spec: S,
  load: () => Promise<{ readonly handle: (args: ParsedArgs<S>) => Effect.Effect<void, unknown> }>
) => ({ spec, make: () => makeCommand(spec, (args) => Effect.promise(load).pipe(Effect.flatMap((module) => module.handle(args)))) })

const commands = [
  lazily(serve, () => import("./commands/serve.js")),
  lazily(demo, () => import("./commands/demo.js")),
  lazily(dev, () => import("./commands/dev.js")),
  lazily(bench, () => import("./commands/bench.js")),
  lazily(batch, () => import("./commands/batch.js")),
  lazily(status, () => import("./commands/status.js")),
  lazily(models, () => import("./commands/models.js")),
  lazily(plan, () => import("./commands/plan.js")),
  lazily(simulate, () => import("./commands/simulate.js")),
  lazily(profile, () => import("./commands/profile.js")),
  lazily(run, () => import("./commands/run.js")),
  lazily(doctor, () => import("./commands/doctor.js")),
  lazily(cuda, () => import("./commands/cuda.js")),
  lazily(config, () => import("./commands/config.js")),
  lazily(demoClient, () => import("./commands/demoClient.js"))
] as const

/** `glet` with the one command that is to run; with all of them where none is named, as completions want it. @since 0.1.0 @category commands */
export const rootCommand = (only: CommandSpec | undefined) => {
  const [first, ...others] = commands.filter(({ spec }) => only === undefined || spec === only)
  return Command.make("glet").pipe(Command.withSubcommands([first!.make(), ...others.map(({ make }) => make())]))
}
