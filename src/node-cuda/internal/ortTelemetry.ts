/**
 * What ONNX Runtime tells others. Its official builds for Linux and macOS report every session (names and hashes of models among it) to their
 * maker, and leave an identifier of the machine and a file of each process behind. What a server runs is its owner's alone to tell.
 */

/**
 * Turns that off in this process and those that it starts, before ONNX Runtime starts in it; only the main thread's environment counts. A variable
 * that is set already is left as it is: `ORT_DISABLE_TELEMETRY=0` is how to have it on.
 */
export const withholdTelemetry = (): void => {
  process.env["ORT_DISABLE_TELEMETRY"] ??= "1"
}
