/**
 * onnxruntime-web, which is an optional peer: it weighs half as much as all the rest, and only pages, Deno and WebAssembly in Node need it.
 *
 * @since 0.1.0
 */

/** The version that this package is made for: its peer in package.json. @since 0.1.0 @category runtime */
export const runtimeVersion = "1.30.0"

/** The command that mends what misses it. @since 0.1.0 @category runtime */
export const installRuntime = `npm install onnxruntime-web@${runtimeVersion}`
