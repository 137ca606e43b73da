/** Takes the place of @effect/vitest in bundles for browsers and Deno: what the contract suite uses of it, and a list of what came out. */
import { assert } from "chai"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type * as Scope from "effect/Scope"

export { assert }

export interface PortableResult {
  readonly suite: string
  readonly name: string
  readonly ms: number
  /** Undefined where it passed. */
  readonly error: string | undefined
}

interface Suite {
  readonly name: string
  readonly layer: Layer.Layer<unknown, unknown>
  readonly tests: Array<{ readonly name: string; readonly body: () => Effect.Effect<unknown, unknown, unknown> }>
}

const suites: Array<Suite> = []

/** `layer` of @effect/vitest with `it.scoped`. */
export const layer = (layer: Layer.Layer<unknown, unknown>) => (name: string, register: (it: unknown) => void): void => {
  const suite: Suite = { name, layer, tests: [] }
  suites.push(suite)
  register({ scoped: (test: string, body: Suite["tests"][number]["body"]) => suite.tests.push({ name: test, body }) })
}

const testTimeout = "30 seconds"

const textOf = (error: unknown): string => error instanceof Error ? error.stack ?? error.message : String(error)

/** Runs the suites registered since the last call, one test after the other. */
export const runAll = async (onResult: (result: PortableResult) => void = () => undefined): Promise<ReadonlyArray<PortableResult>> => {
  const results: Array<PortableResult> = []
  for (const suite of suites.splice(0)) {
    const runtime = ManagedRuntime.make(suite.layer)
    for (const { body, name } of suite.tests) {
      const start = performance.now()
      const program = Effect.scoped(body() as Effect.Effect<unknown, unknown, Scope.Scope>).pipe(Effect.timeout(testTimeout))
      const error = await runtime.runPromise(program).then(() => undefined, textOf)
      const result = { suite: suite.name, name, ms: performance.now() - start, error }
      results.push(result)
      onResult(result)
    }
    await runtime.dispose()
  }
  return results
}
