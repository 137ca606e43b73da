/**
 * Names of the things that plans, profiles and requests speak of. Branded, so that a model's name is never taken for a glet's.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A model's name: the folder or file name in the repository. Any text of 1 to 256 characters; it is only ever a key of a Map.
 * @since 0.1.0
 * @category ids
 */
export const ModelName = Schema.String.pipe(Schema.minLength(1), Schema.maxLength(256), Schema.brand("ModelName"))
/** @since 0.1.0 @category ids */
export type ModelName = typeof ModelName.Type

/**
 * A device of the inventory: a GPU's UUID, `cpu`, or `webgpu:0`.
 * @since 0.1.0
 * @category ids
 */
export const GpuId = Schema.String.pipe(Schema.minLength(1), Schema.maxLength(128), Schema.brand("GpuId"))
/** @since 0.1.0 @category ids */
export type GpuId = typeof GpuId.Type

/**
 * A glet's name, unique within a host over all generations of plans, e.g. `cpu/3`.
 * @since 0.1.0
 * @category ids
 */
export const GletId = Schema.String.pipe(Schema.minLength(1), Schema.maxLength(160), Schema.brand("GletId"))
/** @since 0.1.0 @category ids */
export type GletId = typeof GletId.Type

/** Brands a trusted text without a check; edges decode with the schema instead. @since 0.1.0 @category ids */
export const unsafeModelName = (name: string): ModelName => name as ModelName
/** A name that is known to be valid, unchecked. @since 0.1.0 @category ids */
export const unsafeGpuId = (id: string): GpuId => id as GpuId
/** A name that is known to be valid, unchecked. @since 0.1.0 @category ids */
export const unsafeGletId = (id: string): GletId => id as GletId
