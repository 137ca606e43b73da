/** Runs a program of the system and takes what it says: bounded in time and in size, and ended when the fiber is interrupted. */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"

interface CommandOptions {
  readonly timeoutMs: number
  /** Written to its stdin, which is closed then. */
  readonly input?: string
  /** Besides this process's own environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Bytes of stdout and stderr together that are too much. Default 1 MiB. */
  readonly maxBytes?: number
  readonly cwd?: string
  /** For daemons: what goes on in the background would hold the pipes. Its output is lost. */
  readonly discardOutput?: boolean
}

/** How it ended, by itself. */
interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** It did not end by itself, or did not begin. */
interface CommandFailure {
  readonly reason: "missing" | "timeout" | "too-much-output" | "failed"
  readonly detail: string
}

/** Does not fail because of an exit code: that is an answer. */
export const runCommand = (file: string, args: ReadonlyArray<string>, options: CommandOptions): Effect.Effect<CommandResult, CommandFailure> =>
  Effect.async((resume) => {
    const { maxBytes = 1 << 20, timeoutMs } = options
    const line = [file, ...args].join(" ")
    const output = options.discardOutput === true ? "ignore" : "pipe"
    const child = spawn(file, args, {
      stdio: [options.input === undefined ? "ignore" : "pipe", output, output],
      windowsHide: true,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } })
    })
    let bytes = 0
    let over = false
    const texts = { stdout: "", stderr: "" }
    const end = (result: Effect.Effect<CommandResult, CommandFailure>): void => {
      if (over) return
      over = true
      clearTimeout(timer)
      resume(result)
    }
    const stop = (reason: CommandFailure["reason"], detail: string): void => {
      end(Effect.fail({ reason, detail }))
      child.kill("SIGKILL")
      // A grandchild may keep the pipes open.
      child.stdout?.destroy()
      child.stderr?.destroy()
    }
    const timer = setTimeout(() => stop("timeout", `${line} did not end within ${timeoutMs} ms`), timeoutMs)
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.setEncoding("utf8").on("data", (text: string) => {
        bytes += text.length
        if (bytes > maxBytes) stop("too-much-output", `${line} wrote more than ${maxBytes} bytes`)
        else texts[name] += text
      })
    }
    child.on("error", (error: NodeJS.ErrnoException) =>
      end(Effect.fail(error.code === "ENOENT"
        ? { reason: "missing", detail: `${file} is not there` }
        : { reason: "failed", detail: `${line}: ${error.message}` })))
    child.on("close", (code, signal) =>
      end(code === null ? Effect.fail({ reason: "failed", detail: `${line} was ended by ${signal ?? "a signal"}` }) : Effect.succeed({ code, ...texts })))
    // It may end without reading.
    child.stdin?.on("error", () => undefined)
    child.stdin?.end(options.input)
    return Effect.sync(() => stop("failed", "interrupted"))
  })
