/** A tensor in a client's memory, as frames name it: `u32 side: 0 inputs, 1 outputs | u32 index in the signature | u32 region | f64 position`. */

/** `DirectTensor` of core. */
interface NamedTensor {
  readonly side: "inputs" | "outputs"
  readonly index: number
  readonly region: number
  readonly position: number
}

export const directTensorBytes = 20

/** Answers where the next begins. */
export const writeDirectTensor = (buffer: Buffer, at: number, { index, position, region, side }: NamedTensor): number => {
  buffer.writeUInt32LE(side === "inputs" ? 0 : 1, at)
  buffer.writeUInt32LE(index, at + 4)
  buffer.writeUInt32LE(region, at + 8)
  return buffer.writeDoubleLE(position, at + 12)
}

export const readDirectTensor = (buffer: Buffer, at: number): NamedTensor => ({
  side: buffer.readUInt32LE(at) === 0 ? "inputs" : "outputs",
  index: buffer.readUInt32LE(at + 4),
  region: buffer.readUInt32LE(at + 8),
  position: buffer.readDoubleLE(at + 12)
})
