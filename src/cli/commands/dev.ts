import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import * as DevServer from "../../dev/DevServer.js"
import { runtimePath } from "../../dev/DeviceStart.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { packageRoot, resourcePath } from "../internal/packageFiles.js"
import { endSignal } from "../internal/signals.js"
import { note, out } from "../internal/terminal.js"
import { installRuntime, runtimeVersion } from "../../webgpu/RuntimePackage.js"
import type { dev } from "../specs/dev.js"

/** The folder of onnxruntime-web's files; a string says why there is none that fits. */
const runtimeFolder = (): { readonly folder: string } | string => {
  let folder: string
  try {
    folder = path.dirname(createRequire(import.meta.url).resolve("onnxruntime-web"))
  } catch {
    return "onnxruntime-web is not installed"
  }
  const { version } = JSON.parse(fs.readFileSync(path.join(folder, "../package.json"), "utf8")) as { readonly version: string }
  return version === runtimeVersion ? { folder } : `onnxruntime-web ${version} is installed where ${runtimeVersion} is needed`
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
        ...(typeof runtime === "string" ? [] : [[`/${runtimePath("")}`, runtime.folder] as const])
      ]),
      // Built files have their content's hash in their name, the runtime its version.
      frozen: ["/assets/", `/${runtimePath("")}`]
    })
    if (typeof runtime === "string") note(`${runtime}: the page replays, but runs no models on this device; ${installRuntime} beside glet-orion lets it`)
    // Browsers offer a GPU to secure origins only; localhost is one by name as by number.
    out(args.json ? JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "Ready", url, port, pid: process.pid }) : `glet dev: open ${url} in a browser; Ctrl+C ends it`)
    yield* endSignal
  }).pipe(Effect.scoped)
