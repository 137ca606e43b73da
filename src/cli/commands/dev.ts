import * as Effect from "effect/Effect"
import { createRequire } from "node:module"
import * as path from "node:path"
import * as DevServer from "../../dev/DevServer.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { packageRoot, resourcePath } from "../internal/packageFiles.js"
import { endSignal } from "../internal/signals.js"
import { note, out } from "../internal/terminal.js"
import { installRuntime } from "../../webgpu/RuntimePackage.js"
import type { dev } from "../specs.js"

/** Where onnxruntime-web's files are; undefined where it is not installed. */
const runtimeFolder = (): string | undefined => {
  try {
    return path.dirname(createRequire(import.meta.url).resolve("onnxruntime-web"))
  } catch {
    return undefined
  }
}

/** `glet dev` */
export const handle = (args: ParsedArgs<typeof dev>): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const runtime = runtimeFolder()
    const { port, url } = yield* DevServer.make({
      host: args.host,
      port: args.port,
      folders: new Map([
        ["/", path.join(packageRoot(), "dist", "dev")],
        ["/resource/demo/", resourcePath("demo")],
        ["/resource/profiles/", resourcePath("profiles")],
        ...(runtime === undefined ? [] : [["/onnxruntime-web/", runtime] as const])
      ])
    })
    if (runtime === undefined) note(`onnxruntime-web is not installed: the page replays, but runs no models on this device; ${installRuntime} beside glet-orion lets it`)
    // Browsers offer a GPU to secure origins only; localhost is one by name as by number.
    out(args.json ? JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "Ready", url, port, pid: process.pid }) : `glet dev: open ${url} in a browser; Ctrl+C ends it`)
    yield* endSignal
  }).pipe(Effect.scoped)
