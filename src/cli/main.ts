#!/usr/bin/env node
/**
 * Entry of the command `glet`.
 *
 * @since 0.1.0
 */
import { ExitCode } from "./ExitCode.js"
import { run } from "./run.js"

// A reader that closes early (`glet models | head -1`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? ExitCode.done : ExitCode.failed)
})

process.exitCode = await run(process.argv.slice(2))
// Whatever is still open must not keep a finished command alive; what was written has this long to be read.
setTimeout(() => process.exit(), 2000).unref()
