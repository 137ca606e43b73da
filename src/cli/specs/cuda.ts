import { commandSpec } from "../CommandSpec.js"
import { json } from "./internal/flags.js"

/** What `glet cuda` takes. @since 0.1.0 @category commands */
export const cuda = commandSpec({
  name: "cuda",
  summary: "Install ONNX Runtime's CUDA provider for --executor cuda.",
  examples: [
    { line: "glet cuda install", does: "Take it from PyPI by pip, in the version that fits." },
    { line: "glet cuda install --from onnxruntime_gpu-1.30.0-cp312-cp312-manylinux_2_28_x86_64.whl", does: "From a wheel, on a host without network." }
  ],
  positional: { name: "ACTION", description: "What to do.", required: true, choices: ["install"] },
  flags: {
    from: { kind: "text", placeholder: "PATH", description: "A wheel of onnxruntime-gpu, a folder with one, or a folder with its libraries." },
    force: { kind: "boolean", description: "Also where it is installed already." },
    json
  }
})
