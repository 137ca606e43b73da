import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import { pipeline } from "node:stream/promises"
import { CliError } from "../CliError.js"

/** SHA-256 of a file, hexadecimal; the file is streamed. */
export const fileSha256 = (file: string): Effect.Effect<string, CliError> =>
  Effect.tryPromise({
    try: async (signal) => {
      const hash = createHash("sha256")
      await pipeline(fs.createReadStream(file), hash, { signal })
      return hash.digest("hex")
    },
    catch: (error) => new CliError({ reason: "input", problem: `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}` })
  })
