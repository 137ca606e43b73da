/**
 * Every subcommand of `glet`.
 *
 * @since 0.1.0
 */
import type { CommandSpec } from "../CommandSpec.js"
import { batch } from "./batch.js"
import { bench } from "./bench.js"
import { config } from "./config.js"
import { cuda } from "./cuda.js"
import { demo } from "./demo.js"
import { demoClient } from "./demoClient.js"
import { dev } from "./dev.js"
import { doctor } from "./doctor.js"
import { models } from "./models.js"
import { plan } from "./plan.js"
import { profile } from "./profile.js"
import { run } from "./run.js"
import { serve } from "./serve.js"
import { simulate } from "./simulate.js"
import { status } from "./status.js"

/** In the order of help. @since 0.1.0 @category commands */
export const specs: ReadonlyArray<CommandSpec> = [serve, demo, dev, bench, batch, status, models, plan, simulate, profile, run, doctor, cuda, config, demoClient]
