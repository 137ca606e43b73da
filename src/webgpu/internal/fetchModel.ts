/** Reads models by `fetch`: addresses of the web, of files in Deno, of dropped files in a page (`blob:`). */
import type { Model } from "../../core/Model.js"
import type { ModelBytes } from "./protocol.js"

/** Larger files are not read: WebAssembly's memory ends at 4 GiB, and a model is in it twice while it loads. */
export const mostModelBytes = 2 ** 31

/** Fails with what the server said. Weights in files of their own are not known here: give `readModel` for such models. */
export const fetchModel = async ({ path }: Model): Promise<ModelBytes> => {
  const response = await fetch(path)
  if (!response.ok) throw new Error(`it was answered with ${response.status} ${response.statusText}`)
  const size = Number(response.headers.get("content-length") ?? 0)
  if (size > mostModelBytes) throw new Error(`it has ${size} bytes; the limit is ${mostModelBytes}`)
  const bytes = await response.arrayBuffer()
  if (bytes.byteLength > mostModelBytes) throw new Error(`it has ${bytes.byteLength} bytes; the limit is ${mostModelBytes}`)
  return { bytes, external: [] }
}
