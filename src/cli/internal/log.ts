import * as Cause from "effect/Cause"
import * as HashMap from "effect/HashMap"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"

const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value) ?? String(value))

/** One line per entry on stderr: stdout is for data. */
const stderrLogger = Logger.make(({ annotations, cause, date, logLevel, message }) => {
  const parts = [date.toISOString().slice(11, 23)]
  if (logLevel._tag !== "Info") parts.push(logLevel.label)
  parts.push(...(Array.isArray(message) ? message : [message]).map(text))
  for (const [key, value] of HashMap.toEntries(annotations)) parts.push(`${key}=${text(value)}`)
  if (!Cause.isEmpty(cause)) parts.push(Cause.pretty(cause).split("\n")[0]!)
  process.stderr.write(`${parts.join(" ").replace(/\s*\n\s*/g, " ")}\n`)
})

export const layerStderrLog: Layer.Layer<never> = Logger.replace(Logger.defaultLogger, stderrLogger)
