/**
 * The demo's images as LeNet takes them: 8x8 pixels enlarged to 28x28, pixel centres to pixel centres, the border repeated.
 *
 * @since 0.1.0
 */

const small = 8

/** Side of what LeNet takes. @since 0.1.0 @category digits */
export const side = 28

/** Enlarges an image of 8x8 values bilinearly. @since 0.1.0 @category digits */
export const enlarge = (image: ArrayLike<number>): Float32Array => {
  const out = new Float32Array(side * side)
  for (let y = 0; y < side; y++) {
    const py = Math.max(0, ((y + 0.5) * small) / side - 0.5)
    const y0 = Math.floor(py)
    const y1 = Math.min(small - 1, y0 + 1)
    for (let x = 0; x < side; x++) {
      const px = Math.max(0, ((x + 0.5) * small) / side - 0.5)
      const x0 = Math.floor(px)
      const x1 = Math.min(small - 1, x0 + 1)
      const top = image[y0 * small + x0]! * (1 - (px - x0)) + image[y0 * small + x1]! * (px - x0)
      const bottom = image[y1 * small + x0]! * (1 - (px - x0)) + image[y1 * small + x1]! * (px - x0)
      out[y * side + x] = top * (1 - (py - y0)) + bottom * (py - y0)
    }
  }
  return out
}

/** An image of the test set, values 0 to 16, as LeNet takes it: 0 to 1. @since 0.1.0 @category digits */
export const lenetInput = (image: ReadonlyArray<number>): Float32Array => enlarge(image.map((value) => value / 16))

/** The position of the largest value. @since 0.1.0 @category digits */
export const argmax = (values: ArrayLike<number>): number => {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}
