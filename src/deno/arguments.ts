/** The command line of the server in Deno. What is said of models stands in `glet.json` beside them. */
import * as Effect from "effect/Effect"
import { suggest } from "../core/internal/suggest.js"

export interface Arguments {
  readonly models: string
  readonly host: string
  readonly port: number
  readonly planner: string
  readonly provider: "auto" | "webgpu" | "wasm"
  readonly profileBudget: number
}

export const usage = `glet in Deno: serves a folder of models over HTTP, on WebGPU or, where there is none, in WebAssembly.

  --models DIR           folder of .onnx files, or a model repository in Triton's layout; glet.json in it has SLOs and rates
  --host ADDR            address to listen on (default: 127.0.0.1)
  --port N               port to listen on; 0 takes a free one (default: 8000)
  --planner NAME         planning algorithm (default: orion)
  --provider NAME        auto, webgpu or wasm (default: auto)
  --profile-budget MS    time to measure a model (default: 500)`

const defaults = { host: "127.0.0.1", port: "8000", planner: "orion", provider: "auto", "profile-budget": "500" }
const known = ["models", ...Object.keys(defaults)]

const whole = (name: string, text: string, min: number, max: number): Effect.Effect<number, string> =>
  /^\d{1,9}$/.test(text) && Number(text) >= min && Number(text) <= max
    ? Effect.succeed(Number(text))
    : Effect.fail(`--${name} must be a whole number from ${min} to ${max}, found "${text}"`)

/** Fails with one line that says what is wrong. */
export const parseArguments = (words: ReadonlyArray<string>): Effect.Effect<Arguments, string> =>
  Effect.gen(function*() {
    const given = new Map<string, string>(Object.entries(defaults))
    for (let i = 0; i < words.length; i++) {
      const [, name, joined] = /^--([a-z-]+)(?:=(.*))?$/s.exec(words[i]!) ?? []
      if (name === undefined || !known.includes(name)) {
        const near = suggest(name ?? words[i]!, known)
        return yield* Effect.fail(`unknown option "${words[i]}"${near === undefined ? "" : `; did you mean --${near}?`} (see --help)`)
      }
      const value = joined ?? words[++i]
      if (value === undefined || value === "") return yield* Effect.fail(`--${name} needs a value (see --help)`)
      given.set(name, value)
    }
    const models = given.get("models")
    if (models === undefined) return yield* Effect.fail("--models DIR is missing (see --help)")
    const provider = given.get("provider")!
    if (provider !== "auto" && provider !== "webgpu" && provider !== "wasm") {
      return yield* Effect.fail(`--provider must be auto, webgpu or wasm, found "${provider}"`)
    }
    return {
      models, provider, host: given.get("host")!, planner: given.get("planner")!,
      port: yield* whole("port", given.get("port")!, 0, 65535),
      profileBudget: yield* whole("profile-budget", given.get("profile-budget")!, 10, 600_000)
    }
  })
