/**
 * glet-orion: cuts GPUs into glets, puts many ONNX models with latency objectives on few of them, keeps the objectives.
 *
 * @since 0.1.0
 */
export * from "./core/index.js"
export * from "./scheduler/index.js"
