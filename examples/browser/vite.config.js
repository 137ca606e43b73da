// npx vite examples/browser
import { fileURLToPath } from "node:url"

export default {
  // Where the page finds /lenet-digits.onnx.
  publicDir: fileURLToPath(new URL("../../resource/demo", import.meta.url)),
  // The worker of a glet reads onnxruntime-web when it needs it.
  worker: { format: "es" },
  // Bundled ahead, both would look for their own files in the wrong place.
  optimizeDeps: { exclude: ["glet-orion", "onnxruntime-web"] }
}
