/** Access to koffi, which is loaded only when something native is called: where it does not load, a fallback takes over. */
import { createRequire } from "node:module"

type Koffi = (typeof import("koffi"))["default"]

/** A C function: called at once, or by `async` on another thread with a callback as the last argument. */
export type NativeFunction = ReturnType<ReturnType<Koffi["load"]>["func"]>

let loaded: Koffi | undefined

/** koffi, configured. Throws where there is no build of it for this platform. */
export const loadKoffi = (): Koffi => {
  if (loaded === undefined) {
    const koffi = createRequire(import.meta.url)("koffi") as Koffi
    // onnxruntime's graph optimizer and cuDNN recurse deeper than koffi's default of 128 KiB; the pages are only taken when touched.
    koffi.config({ sync_stack_size: 8 << 20, async_stack_size: 8 << 20 })
    loaded = koffi
  }
  return loaded
}
