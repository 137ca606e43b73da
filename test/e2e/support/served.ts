/** `glet serve` as users start it, in a process of its own. */
import { assert } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { ReadyLine } from "../../../src/cli/commands/readyLine.js"
import type { Glet, Running } from "../../cli/support/glet.js"
import type { Files } from "./folder.js"
import { writeFiles } from "./folder.js"

export interface Served {
  readonly server: Running
  readonly ready: typeof ReadyLine.Type
  readonly port: number
}

const decodeReady = Schema.decodeUnknownSync(Schema.parseJson(ReadyLine))

/** A folder of models among the build's own files. */
export const modelsOf = (glet: Glet, files: Files): string => {
  const folder = fs.mkdtempSync(path.join(glet.folder, "models-"))
  writeFiles(folder, files)
  return folder
}

/** Starts it and waits for its ready line. */
export const serve = async (glet: Glet, models: string, args: ReadonlyArray<string> = []): Promise<Served> => {
  const server = glet.start(["serve", "--models", models, "--port", "0", "--profile-budget", "100", "--json", ...args])
  const ready = decodeReady(await server.line((line) => line.startsWith("{")))
  return { server, ready, port: Number(new URL(ready.url).port) }
}

/** Ends it as an operator does; it must have said nothing but its ready line on stdout. */
export const stop = async ({ server }: Served): Promise<string> => {
  server.process.kill("SIGTERM")
  const { code, stderr, stdout } = await server.ended
  assert.strictEqual(code, 0, stderr)
  assert.strictEqual(stdout.trim().split("\n").length, 1)
  return stderr
}

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Waits for something to hold; fails where it never does. */
export const until = async (what: string, holds: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> => {
  const endMs = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
