/** What may be shown: colour and animation only where a person looks, and never against their wish. */
const wantsColour = (stream: { readonly isTTY?: boolean }): boolean => {
  const env = process.env
  if (env["NO_COLOR"] !== undefined && env["NO_COLOR"] !== "") return false
  if (env["FORCE_COLOR"] !== undefined) return env["FORCE_COLOR"] !== "0" && env["FORCE_COLOR"] !== "false"
  return stream.isTTY === true && env["TERM"] !== "dumb"
}

export const colourOut = (): boolean => wantsColour(process.stdout)
export const colourErr = (): boolean => wantsColour(process.stderr)

/** Whether a line on stderr may be drawn over again. */
export const animates = (): boolean =>
  process.stderr.isTTY === true && process.env["TERM"] !== "dumb" && (process.env["CI"] === undefined || process.env["CI"] === "")

/** Data. */
export const out = (text: string): void => {
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`)
}

/** Messages. */
export const note = (text: string): void => {
  process.stderr.write(text.endsWith("\n") ? text : `${text}\n`)
}

/** A status line on stderr that replaces itself; plain lines, only now and then, where that cannot be. */
export const makeProgress = (plainEveryMs: number): { readonly show: (text: string) => void; readonly clear: () => void } => {
  const live = animates()
  let shownMs = -Infinity
  let drawn = false
  return {
    show: (text) => {
      if (live) {
        process.stderr.write(`\r\u001b[2K${text.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1))}`)
        drawn = true
      } else if (performance.now() - shownMs >= plainEveryMs) {
        shownMs = performance.now()
        note(text)
      }
    },
    clear: () => {
      if (drawn) process.stderr.write("\r\u001b[2K")
      drawn = false
    }
  }
}

const escape = String.fromCharCode(27)
const ansi = new RegExp(`${escape}\\[[0-9;?]*[A-Za-z]`, "g")
/** Text without its colours. */
export const stripAnsi = (text: string): string => text.replace(ansi, "")

export const bold = (text: string, colour: boolean): string => (colour ? `${escape}[1m${text}${escape}[0m` : text)
export const dim = (text: string, colour: boolean): string => (colour ? `${escape}[2m${text}${escape}[0m` : text)

// Names come from files and servers: control characters in them must not reach the terminal.
const printable = (text: string): string => [...text].map((c) => (c < " " || c === "\u007f" ? "?" : c)).join("")

/** Columns; numbers (`align[i] === "r"`) to the right. */
export const table = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  options: { readonly align: string; readonly colour: boolean }
): string => {
  const clean = rows.map((row) => row.map(printable))
  const widths = head.map((title, i) => Math.max(title.length, ...clean.map((row) => (row[i] ?? "").length)))
  const line = (cells: ReadonlyArray<string>): string =>
    cells.map((cell, i) => (options.align[i] === "r" ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  ").trimEnd()
  return [dim(line(head), options.colour), ...clean.map(line)].join("\n")
}

/** Milliseconds for people: three digits that matter. */
export const ms = (value: number): string =>
  !Number.isFinite(value) ? "-" : value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

/** A rate for people. */
export const rps = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2))

export const percent = (ratio: number): string => `${(100 * ratio).toFixed(ratio >= 0.9995 && ratio < 1 ? 3 : 1)} %`
