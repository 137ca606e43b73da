/**
 * What this browser, Deno or Node can do for models: looked at once, then a frozen value.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { describeProvider, preferred, probeOnce } from "./internal/adapter.js"
import type { WebGpuCapabilities } from "./WebGpuCapabilities.js"

/**
 * What there is here. The first call looks, later ones get the same value; an adapter that comes later needs a reload.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { probeCapabilities } from "glet-orion/webgpu"
 *
 * const { fallback, provider } = await Effect.runPromise(probeCapabilities)
 * console.log(provider, fallback ?? "")
 * ```
 * @since 0.1.0
 * @category capabilities
 */
export const probeCapabilities: Effect.Effect<WebGpuCapabilities> = Effect.promise(probeOnce)

export {
  /** One line for people: what models run on here, and where it is not the GPU why. @since 0.1.0 @category capabilities */
  describeProvider,
  /**
   * What models shall run on: a software adapter counts as none unless it is asked for, since WebAssembly computes many times faster on the same
   * processor. `how`: what to say to get it nevertheless.
   * @since 0.1.0
   * @category capabilities
   */
  preferred
}
