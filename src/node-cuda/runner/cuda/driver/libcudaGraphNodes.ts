/** What a recorded graph is made of, by libcuda: whether it would do the same again, and what of the host's memory it reads. */
import { loadKoffi } from "../../../internal/native.js"
import type { CudaGraphNodes, CudaMemory } from "./CudaDriver.js"
import type { LibcudaCalls } from "./libcudaCalls.js"
import { success } from "./libcudaCalls.js"

const nodeType = { kernel: 0, memcpy: 1, memset: 2, host: 3, child: 4, empty: 5, alloc: 10, free: 11, memoryOperation: 12 } as const
/** Nodes that do the same each time they run. */
const repeatable = new Set<number>([
  nodeType.kernel, nodeType.memcpy, nodeType.memset, nodeType.empty, nodeType.alloc, nodeType.free,
  nodeType.memoryOperation
])
/** sizeof(CUDA_MEMCPY3D), where each side's memory type stands in it, and from there its pointers; where the width and height of it stand. */
const memcpy3d = { bytes: 200, source: 32, target: 120, hostAt: 8, deviceAt: 16, widthAt: 176, heightAt: 184 } as const
const memoryType = { host: 1, device: 2, unified: 4 } as const
const pointerMemoryType = 2

export const makeGraphNodes = ({ check, functions, ints, words }: LibcudaCalls, { allocateHost }: Pick<CudaMemory, "allocateHost">): CudaGraphNodes => {
  const koffi = loadKoffi()
  const typeOf = (node: bigint): number => {
    check("cuGraphNodeGetType", functions.cuGraphNodeGetType(node, ints) as number)
    return ints[0]!
  }
  const nodesOf = (graph: number): ReadonlyArray<{ readonly node: bigint; readonly type: number }> => {
    check("cuGraphGetNodes", functions.cuGraphGetNodes(graph, null, words) as number)
    const nodes = new BigUint64Array(Number(words[0]))
    if (nodes.length > 0) check("cuGraphGetNodes", functions.cuGraphGetNodes(graph, nodes, words) as number)
    return Array.from(nodes, (node) => ({ node, type: typeOf(node) }))
  }
  /** Copies of a graph, with their parameters. */
  const copiesOf = (graph: number): ReadonlyArray<{ readonly node: bigint; readonly params: DataView }> =>
    nodesOf(graph).flatMap(({ node, type }) => {
      if (type !== nodeType.memcpy) return []
      const params = new DataView(new ArrayBuffer(memcpy3d.bytes))
      check("cuGraphMemcpyNodeGetParams", functions.cuGraphMemcpyNodeGetParams(node, new Uint8Array(params.buffer)) as number)
      return [{ node, params }]
    })
  /** The address, where a side of a copy is the host's memory. */
  const hostAddress = (params: DataView, side: number): bigint | undefined => {
    const type = params.getInt32(side, true)
    if (type === memoryType.host) return params.getBigUint64(side + memcpy3d.hostAt, true)
    if (type !== memoryType.unified) return undefined
    const address = params.getBigUint64(side + memcpy3d.deviceAt, true)
    // Not known to the driver: memory of the host that is not page-locked.
    const isHost = functions.cuPointerGetAttribute(ints, pointerMemoryType, address) !== success || ints[0] === memoryType.host
    return isHost ? address : undefined
  }
  return {
    graphProblem: (graph) => {
      const nodes = nodesOf(graph)
      if (nodes.length === 0) return "it is empty"
      const other = nodes.find(({ type }) => !repeatable.has(type))
      if (other !== undefined) return other.type === nodeType.host ? "it calls back into the host" : `it has a node of type ${other.type}`
      for (const { params } of copiesOf(graph)) {
        if (hostAddress(params, memcpy3d.target) !== undefined) return "it copies to memory of the host"
        const rows = params.getBigUint64(memcpy3d.heightAt, true) * params.getBigUint64(memcpy3d.heightAt + 8, true)
        if (rows !== 1n && hostAddress(params, memcpy3d.source) !== undefined) return "it copies rows from memory of the host"
      }
      return undefined
    },
    keepHostSources: (graph) => {
      const kept: Array<number> = []
      try {
        for (const { node, params } of copiesOf(graph)) {
          const source = hostAddress(params, memcpy3d.source)
          if (source === undefined) continue
          const skipped = Number(params.getBigUint64(0, true))
          const bytes = skipped + Number(params.getBigUint64(memcpy3d.widthAt, true))
          const { address, memory } = allocateHost(bytes)
          kept.push(address)
          memory.set(new Uint8Array(koffi.view(source, bytes)))
          params.setInt32(memcpy3d.source, memoryType.host, true)
          params.setBigUint64(memcpy3d.source + memcpy3d.hostAt, BigInt(address), true)
          check("cuGraphMemcpyNodeSetParams", functions.cuGraphMemcpyNodeSetParams(node, new Uint8Array(params.buffer)) as number)
        }
        return kept
      } catch (error) {
        for (const address of kept) functions.cuMemFreeHost(address)
        throw error
      }
    },
    waitsOf: (graph) => nodesOf(graph).filter(({ type }) => type === nodeType.memoryOperation).length
  }
}
