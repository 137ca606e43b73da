/** The worker thread of "bare": one session of onnxruntime-node's own API, one request at a time. */
import ort from "onnxruntime-node"
import { parentPort, workerData } from "node:worker_threads"

const session = await ort.InferenceSession.create(workerData.model, {
  // 0: onnxruntime's default, a spinning thread per core.
  ...(workerData.threads > 0 ? { intraOpNumThreads: workerData.threads, interOpNumThreads: 1 } : {})
})
const name = session.inputNames[0]

// A chain: the next message waits for the run before it.
let last = Promise.resolve()
parentPort.on("message", ({ id, input, shape }) => {
  last = last.then(async () => {
    try {
      const results = await session.run({ [name]: new ort.Tensor("float32", input, shape) })
      const outputs = Object.entries(results).map(([output, tensor]) => ({ name: output, shape: [...tensor.dims], data: tensor.data }))
      parentPort.postMessage({ id, outputs }, outputs.map((output) => output.data.buffer))
    } catch (error) {
      parentPort.postMessage({ id, error: String(error) })
    }
  })
})
parentPort.postMessage("ready")
