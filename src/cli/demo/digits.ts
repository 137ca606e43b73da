/**
 * The demo's images: 500 handwritten digits of the UCI set that scikit-learn ships, 8x8 pixels of 0 to 16.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const side = 8

/** @since 0.1.0 @category digits */
export const Digits = Schema.Struct({
  images: Schema.NonEmptyArray(Schema.Array(Schema.Number.pipe(Schema.between(0, 16))).pipe(Schema.itemsCount(side * side))),
  labels: Schema.NonEmptyArray(Schema.Int.pipe(Schema.between(0, 9)))
}).pipe(Schema.filter((digits) => digits.images.length === digits.labels.length || "as many labels as images are needed"))
/** @since 0.1.0 @category digits */
export type Digits = typeof Digits.Type

/**
 * Resizes a square image bilinearly: pixel centres map to pixel centres (corners not aligned), the border is repeated.
 * @since 0.1.0
 * @category digits
 */
export const resizeBilinear = (image: ReadonlyArray<number>, from: number, to: number): Float32Array => {
  const at = Array.from({ length: to }, (_, i) => {
    const position = Math.max(0, ((i + 0.5) * from) / to - 0.5)
    const low = Math.floor(position)
    return { low, high: Math.min(low + 1, from - 1), weight: position - low }
  })
  const resized = new Float32Array(to * to)
  for (let y = 0; y < to; y++) {
    const row = at[y]!
    for (let x = 0; x < to; x++) {
      const column = at[x]!
      const top = image[row.low * from + column.low]! * (1 - column.weight) + image[row.low * from + column.high]! * column.weight
      const bottom = image[row.high * from + column.low]! * (1 - column.weight) + image[row.high * from + column.high]! * column.weight
      resized[y * to + x] = top * (1 - row.weight) + bottom * row.weight
    }
  }
  return resized
}

/** What LeNet takes: 28x28 in 0 to 1. @since 0.1.0 @category digits */
export const lenetInput = (image: ReadonlyArray<number>): Float32Array => resizeBilinear(image.map((value) => value / 16), side, 28)

/** The position of the largest value. @since 0.1.0 @category digits */
export const argmax = (values: ReadonlyArray<number>): number => {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}
