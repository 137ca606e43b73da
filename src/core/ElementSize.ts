/**
 * Sizes of tensor elements. A module of its own, without schemas, so that a runner process that lays out slots need not load them.
 *
 * @since 0.1.0
 */
const elementBytes = {
  BOOL: 1, UINT8: 1, UINT16: 2, UINT32: 4, UINT64: 8, INT8: 1, INT16: 2, INT32: 4, INT64: 8, FP16: 2, BF16: 2, FP32: 4, FP64: 8, BYTES: 0
} as const

/** Bytes of one element; 0 for `BYTES`, whose elements vary. @since 0.1.0 @category tensors */
export const bytesPerElement = (type: keyof typeof elementBytes): number => elementBytes[type]
