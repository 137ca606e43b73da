/**
 * Help texts, written from the specifications: examples first.
 *
 * @since 0.1.0
 */
import type { CommandSpec, FlagSpec } from "./CommandSpec.js"
import { flagName } from "./CommandSpec.js"

const heading = (text: string, colour: boolean): string => (colour ? `\u001b[1m${text}\u001b[0m` : text)

const columns = (rows: ReadonlyArray<readonly [string, string]>): string => {
  const width = Math.min(34, Math.max(...rows.map(([left]) => left.length)))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n")
}

const usageOf = (flag: FlagSpec): string => {
  if (flag.kind === "boolean") return ""
  if (flag.kind === "choice") return ` ${flag.choices.join("|")}`
  return ` ${flag.placeholder}`
}

const notes = (flag: FlagSpec): string =>
  "required" in flag && flag.required === true ? " Required." : "default" in flag && flag.default !== undefined ? ` (default: ${flag.default})` : ""

/** `glet --help`. @since 0.1.0 @category help */
export const renderHelp = (specs: ReadonlyArray<CommandSpec>, version: string, colour: boolean): string => `\
glet ${version}: many ONNX models with latency objectives on few GPUs. Without a GPU, the CPU is the GPU.

${heading("Examples", colour)}
${columns([
  ["glet demo", "See it work on this machine, in half a minute."],
  ["glet serve --models ./models", "Serve a folder of models on port 8000."],
  ["glet bench MODEL --rate 100", "Send load and measure."],
  ["glet status", "Predicted against measured, per glet."]
])}

${heading("Commands", colour)}
${columns(specs.filter((spec) => spec.hidden !== true).map((spec) => [spec.name, spec.summary] as const))}

${heading("Everywhere", colour)}
${columns([
  ["--json", "One JSON document on stdout; messages go to stderr."],
  ["--completions bash|zsh|fish", "A completion script for the shell."],
  ["-h, --help", "Help; of a command: glet COMMAND --help"],
  ["-v, --version", "The version."]
])}

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no plan exists, 4 something essential is missing, 130 interrupted.
`

/** `glet COMMAND --help`. `footer` is what only the command itself knows. @since 0.1.0 @category help */
export const renderCommandHelp = (spec: CommandSpec, colour: boolean, footer?: string): string => {
  const flags = Object.entries(spec.flags)
  const positional = spec.positional
  const usage = [
    `glet ${spec.name}`,
    ...(positional === undefined ? [] : [positional.choices?.join("|") ?? positional.name]),
    ...flags.filter(([, flag]) => "required" in flag && flag.required === true).map(([key, flag]) => `--${flagName(key)}${usageOf(flag)}`),
    ...(flags.length > 0 ? ["[options]"] : [])
  ].join(" ")
  const sections = [
    spec.summary,
    ...(spec.examples.length === 0 ? [] : [
      `${heading("Examples", colour)}\n${spec.examples.map((example) => `  ${example.line}\n      ${example.does}`).join("\n")}`
    ]),
    `${heading("Usage", colour)}\n  ${usage}`,
    `${heading("Options", colour)}\n${columns([
      ...(positional === undefined ? [] : [[positional.name, positional.description] as const]),
      ...flags.map(([key, flag]) => [`--${flagName(key)}${usageOf(flag)}`, `${flag.description}${notes(flag)}`] as const),
      ["-h, --help", "This text."]
    ])}`,
    ...(footer === undefined ? [] : [footer])
  ]
  return `${sections.join("\n\n")}\n`
}
