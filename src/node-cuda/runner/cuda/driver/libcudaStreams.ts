/** Streams, events, and what waits for what, by libcuda. */
import type { CudaStreams } from "./CudaDriver.js"
import type { LibcudaCalls } from "./libcudaCalls.js"
import { success } from "./libcudaCalls.js"

const notReady = 600
const nonBlocking = 1
const withoutTiming = 2
const isAtLeast = 0

export const makeStreams = ({ check, fail, functions, make, preemption }: LibcudaCalls): CudaStreams => ({
  createStream: (priority, green) =>
    green === undefined
      ? make("cuStreamCreateWithPriority", nonBlocking, priority)
      : make("cuGreenCtxStreamCreate", green.handle, nonBlocking, priority),
  destroyStream: (stream) => check("cuStreamDestroy", functions.cuStreamDestroy(stream) as number),
  createEvent: () => make("cuEventCreate", withoutTiming),
  destroyEvent: (event) => check("cuEventDestroy", functions.cuEventDestroy(event) as number),
  record: (event, stream) => check("cuEventRecord", functions.cuEventRecord(event, stream) as number),
  wait: (stream, event) => check("cuStreamWaitEvent", functions.cuStreamWaitEvent(stream, event, 0) as number),
  waitUntil: (stream, { least, word }) => {
    const code = preemption().cuStreamWaitValue32(stream, word, least >>> 0, isAtLeast) as number
    if (code !== success) fail("cuStreamWaitValue32", code)
  },
  isDone: (event) => {
    const code = functions.cuEventQuery(event) as number
    if (code === success) return true
    if (code !== notReady) fail("cuEventQuery", code)
    return false
  }
})
