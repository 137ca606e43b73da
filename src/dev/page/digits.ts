/** The drawing field: 28 by 28 pixels of 0 to 1, as LeNet takes them. */
import { enlarge } from "../DigitImages.js"

export const padSide = 28
export type Pad = Float32Array

export const emptyPad = (): Pad => new Float32Array(padSide * padSide)

const penRadius = 1.35

/** A line of a soft round pen. */
export const stroke = (pad: Pad, fromX: number, fromY: number, toX: number, toY: number): void => {
  const length = Math.hypot(toX - fromX, toY - fromY)
  const steps = Math.max(1, Math.ceil(length / 0.4))
  for (let i = 0; i <= steps; i++) {
    const x = fromX + ((toX - fromX) * i) / steps
    const y = fromY + ((toY - fromY) * i) / steps
    for (let row = Math.max(0, Math.floor(y - 3)); row <= Math.min(padSide - 1, y + 3); row++) {
      for (let column = Math.max(0, Math.floor(x - 3)); column <= Math.min(padSide - 1, x + 3); column++) {
        const distance = Math.hypot(column + 0.5 - x, row + 0.5 - y)
        const ink = Math.min(1, Math.max(0, penRadius + 0.6 - distance))
        const at = row * padSide + column
        pad[at] = Math.max(pad[at]!, ink)
      }
    }
  }
}

/**
 * The drawing as the training set has its digits: cut out, scaled so that the longer side fills the field, centred. LeNet here learned from 8x8
 * images enlarged, so the drawing is taken down to 8x8 and enlarged again in the same way.
 */
export const centred = (pad: Pad): Float32Array => {
  let left = padSide
  let right = -1
  let top = padSide
  let bottom = -1
  for (let i = 0; i < pad.length; i++) {
    if (pad[i]! < 0.1) continue
    const x = i % padSide
    const y = Math.floor(i / padSide)
    left = Math.min(left, x)
    right = Math.max(right, x)
    top = Math.min(top, y)
    bottom = Math.max(bottom, y)
  }
  if (right < 0) return pad.slice()
  const side = Math.max(right - left + 1, bottom - top + 1, 8)
  const centreX = (left + right + 1) / 2
  const centreY = (top + bottom + 1) / 2
  const at = (x: number, y: number): number => {
    const column = Math.floor(centreX + (x - 0.5) * side)
    const row = Math.floor(centreY + (y - 0.5) * side)
    return column < 0 || row < 0 || column >= padSide || row >= padSide ? 0 : pad[row * padSide + column]!
  }
  // Mean ink of each of 8x8 fields, then enlarged: pixel centres to pixel centres.
  const small = new Float32Array(64)
  const samples = 8
  for (let i = 0; i < 64; i++) {
    let sum = 0
    for (let sy = 0; sy < samples; sy++) for (let sx = 0; sx < samples; sx++) sum += at(((i % 8) + (sx + 0.5) / samples) / 8, (Math.floor(i / 8) + (sy + 0.5) / samples) / 8)
    small[i] = sum / (samples * samples)
  }
  return enlarge(small)
}
