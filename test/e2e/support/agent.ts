/** An agent for tests to kill: the whole server, its tensors over sockets. Says what runs, then waits for its end. */
import * as Effect from "effect/Effect"
import { cpuStack } from "./stack.js"

const [directory, runnerPath] = process.argv.slice(2) as [string, string]

const program = Effect.gen(function*() {
  const { port, status } = yield* cpuStack({ directory, cores: 2, executor: { sharedMemory: "off", runnerPath } })
  const { glets } = yield* status
  console.log(JSON.stringify({ port, pids: glets.map(({ pid }) => pid) }))
  yield* Effect.never
})

await Effect.runPromise(Effect.scoped(program))
