/**
 * One compiled onnxruntime-web for all workers. Its .wasm has 14 to 27 MB, and every worker would fetch, validate and compile it again, code that
 * runs once included. A compiled module can be posted to other workers, with all that was compiled of it until then. onnxruntime-web has no option
 * for that, so while it starts two functions of `WebAssembly` are stood in for.
 */
import type * as Ort from "onnxruntime-common"
import type { CompiledModule } from "../internal/protocol.js"

interface Instantiated {
  readonly instance: object
  readonly module: CompiledModule
}
interface Assembly {
  instantiate: (source: unknown, imports: object) => Promise<Instantiated | object>
  instantiateStreaming?: (source: unknown, imports: object) => Promise<Instantiated>
}

const assembly = (globalThis as unknown as { readonly WebAssembly: Assembly }).WebAssembly

/**
 * Runs `begin`, which makes onnxruntime-web start, on the module that another worker compiled; without one it compiles its own. Answers the module,
 * for workers to come; undefined where none was seen.
 */
export const onSharedModule = async (env: Ort.Env, compiled: CompiledModule | undefined, begin: () => Promise<unknown>): Promise<CompiledModule | undefined> => {
  const { instantiate, instantiateStreaming } = assembly
  let seen = compiled
  // A file that was read already is not fetched; this one is never looked into.
  const mark = new ArrayBuffer(8)
  if (compiled !== undefined) env.wasm.wasmBinary = mark
  assembly.instantiate = async (source, imports) => {
    if (compiled !== undefined && (source as Partial<ArrayBufferView>).buffer === mark) {
      return { instance: await instantiate.call(assembly, compiled, imports), module: compiled }
    }
    const made = await instantiate.call(assembly, source, imports)
    if ("module" in made) seen ??= made.module
    return made
  }
  if (instantiateStreaming !== undefined) {
    assembly.instantiateStreaming = async (source, imports) => {
      const made = await instantiateStreaming.call(assembly, source, imports)
      seen ??= made.module
      return made
    }
  }
  try {
    await begin()
    return seen
  } finally {
    assembly.instantiate = instantiate
    if (instantiateStreaming !== undefined) assembly.instantiateStreaming = instantiateStreaming
    delete env.wasm.wasmBinary
  }
}
