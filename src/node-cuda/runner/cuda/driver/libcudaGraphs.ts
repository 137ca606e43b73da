/** Recording what is put on a stream, and running it again, by libcuda. */
import type { CudaGraphs } from "./CudaDriver.js"
import { CudaError } from "./CudaDriver.js"
import type { LibcudaCalls } from "./libcudaCalls.js"

const relaxed = 2
/** What a capture ends with that something has broken. */
const captureInvalidated = 901

export const makeGraphs = ({ asyncProblem, check, functions, make, words }: LibcudaCalls): CudaGraphs => ({
  beginCapture: (stream) => check("cuStreamBeginCapture", functions.cuStreamBeginCapture(stream, relaxed) as number),
  endCapture: (stream) => {
    words[0] = 0n
    const code = functions.cuStreamEndCapture(stream, words) as number
    check("cuStreamEndCapture", code)
    if (words[0] === 0n) throw new CudaError("cuStreamEndCapture", captureInvalidated, "no graph")
    return Number(words[0])
  },
  instantiate: (graph) => make("cuGraphInstantiate", graph, 0),
  launch: (executable, stream) => check("cuGraphLaunch", functions.cuGraphLaunch(executable, stream) as number),
  launchAsync: (executable, stream, done) => {
    functions.cuGraphLaunch.async(executable, stream, (error: unknown, code: number) => done(asyncProblem("cuGraphLaunch", error, code)))
  },
  destroyGraph: (graph) => check("cuGraphDestroy", functions.cuGraphDestroy(graph) as number),
  destroyExecutable: (executable) => check("cuGraphExecDestroy", functions.cuGraphExecDestroy(executable) as number)
})
