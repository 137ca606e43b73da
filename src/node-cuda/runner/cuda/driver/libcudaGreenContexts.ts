/** The device's SMs in groups, and green contexts on some of them, by libcuda. */
import type { GreenContexts } from "./CudaDriver.js"
import type { LibcudaCalls } from "./libcudaCalls.js"

const smResource = 1
/** sizeof(CUdevResource) and where `sm.smCount` stands in it. */
const resource = { bytes: 144, smCountAt: 96 } as const
const splitForClusters = 2
const mostGroups = 64
const defaultStream = 1

const smCount = (resources: Uint8Array, i: number): number =>
  new DataView(resources.buffer, resources.byteOffset).getUint32(i * resource.bytes + resource.smCountAt, true)

export const makeGreenContexts = ({ check, functions, ints, make }: LibcudaCalls, ordinal: number): GreenContexts => ({
  splitSms: (least, forClusters) => {
    const whole = new Uint8Array(resource.bytes)
    check("cuDeviceGetDevResource", functions.cuDeviceGetDevResource(ordinal, whole, smResource) as number)
    const resources = new Uint8Array((mostGroups + 1) * resource.bytes)
    const remainder = new Uint8Array(resource.bytes)
    ints[0] = mostGroups
    const code = functions.cuDevSmResourceSplitByCount(resources, ints, whole, remainder, forClusters ? splitForClusters : 0, least) as number
    check("cuDevSmResourceSplitByCount", code)
    const count = ints[0]!
    resources.set(remainder, count * resource.bytes)
    const units = Array.from({ length: count }, (_, i) => smCount(resources, i))
    const left = smCount(remainder, 0)
    return { units: left === 0 ? units : [...units, left], resources }
  },
  createGreen: (groups, indices) => {
    const chosen = new Uint8Array(indices.length * resource.bytes)
    indices.forEach((index, i) => chosen.set(groups.resources.subarray(index * resource.bytes, (index + 1) * resource.bytes), i * resource.bytes))
    const description = make("cuDevResourceGenerateDesc", chosen, indices.length)
    const handle = make("cuGreenCtxCreate", description, ordinal, defaultStream)
    const given = new Uint8Array(resource.bytes)
    check("cuGreenCtxGetDevResource", functions.cuGreenCtxGetDevResource(handle, given, smResource) as number)
    return { handle, units: smCount(given, 0) }
  },
  destroyGreen: ({ handle }) => check("cuGreenCtxDestroy", functions.cuGreenCtxDestroy(handle) as number)
})
