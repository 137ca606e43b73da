/** Reads small text files whole. */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import { fromFileSystem, RepositoryError } from "../RepositoryError.js"

const largestTextBytes = 1 << 20

export const readText = (file: string): Effect.Effect<string, RepositoryError> =>
  Effect.tryPromise({ try: () => readBounded(file), catch: (cause) => cause }).pipe(
    Effect.mapError((cause) => cause instanceof RepositoryError ? cause : fromFileSystem(file, cause))
  )

const readBounded = async (file: string): Promise<string> => {
  const stat = await fs.stat(file)
  if (!stat.isFile()) throw new RepositoryError({ file, reason: "invalid", detail: "is not a regular file" })
  if (stat.size > largestTextBytes) {
    throw new RepositoryError({ file, reason: "invalid", detail: `has ${stat.size} bytes, at most ${largestTextBytes} are read` })
  }
  return fs.readFile(file, "utf8")
}
