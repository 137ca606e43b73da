/**
 * What the server says of itself.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category version */
export const serverName = "glet-orion"

/** The package's version. @since 0.1.0 @category version */
export const version = "0.1.0"

/** Extensions of the Open Inference Protocol that are always served. @since 0.1.0 @category version */
export const extensions: ReadonlyArray<string> = [
  "binary_tensor_data", "classification", "model_configuration", "model_repository", "parameters", "schedule_policy", "statistics"
]
