import * as Effect from "effect/Effect"
import type { CudaInstallError } from "../../node-cuda/CudaInstall.js"
import { install } from "../../node-cuda/CudaInstall.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { note, out } from "../internal/terminal.js"
import type { cuda } from "../specs/cuda.js"

/** `glet cuda install` */
export const handle = (args: ParsedArgs<typeof cuda>): Effect.Effect<void, CudaInstallError> =>
  Effect.gen(function*() {
    const { source, state, verified, wasThere } = yield* install({ from: args.from, force: args.force, onProgress: note })
    const { cudaMajor, cudnnMajor, home, libraries } = state
    if (args.json) {
      out(JSON.stringify({
        apiVersion: "glet/v1alpha1", kind: "CudaInstalled", version: home.version, folder: home.folder, source, verified, wasThere,
        cuda: cudaMajor ?? null, cudnn: cudnnMajor ?? null, libraryFolders: libraries.folders, missing: libraries.missing
      }))
      return
    }
    out(`CUDA provider ${home.version} ${wasThere ? "is" : "installed"} in ${home.folder}${wasThere ? "" : verified ? `, checked against the record of ${source}` : `, from ${source} without a record to check it against`}`)
    out(`it needs CUDA ${cudaMajor ?? "?"} and cuDNN ${cudnnMajor ?? "?"}: ${
      libraries.missing.length > 0
        ? `${libraries.missing.join(", ")} not found on this host; glet doctor says how to get them`
        : libraries.folders.length > 0
        ? `found in ${libraries.folders.join(", ")}`
        : "found"
    }`)
    if (libraries.missing.length === 0) out("next: glet serve --executor cuda --models DIR")
  })
