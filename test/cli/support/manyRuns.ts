/**
 * Runs command lines of `glet` one after the other in one process, as its entry runs each in its own: for what is answered or refused without
 * anything being started. Lines of JSON in, `[args, env]`; lines of JSON out, `[exit code, stdout, stderr]`.
 */
import { createInterface } from "node:readline"
import { run } from "../../../src/cli/run.js"

const write = process.stdout.write.bind(process.stdout)
const said = { stdout: "", stderr: "" }
const listen = (stream: "stdout" | "stderr"): void => {
  process[stream].write = ((chunk: string | Uint8Array) => {
    said[stream] += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString()
    return true
  }) as typeof process.stdout.write
}
listen("stdout")
listen("stderr")
// Each run handles signals.
process.setMaxListeners(0)

for await (const line of createInterface({ input: process.stdin })) {
  const [args, env] = JSON.parse(line) as readonly [ReadonlyArray<string>, Readonly<Record<string, string>>]
  Object.assign(process.env, env)
  said.stdout = said.stderr = ""
  const code = await run(args)
  for (const name of Object.keys(env)) delete process.env[name]
  write(`${JSON.stringify([code, said.stdout, said.stderr])}\n`)
}
process.exit()
