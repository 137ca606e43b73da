/**
 * The part of an objective that a request needs beyond what plans count: latencies are those of batches that follow each other, and a batch that comes
 * to an idle glet takes as much longer as its copies do (`LatencyModel.overlapMs`).
 *
 * @since 0.1.0
 */
import type { Gpu } from "../core/Gpu.js"
import type { LatencyModel } from "../core/LatencyModel.js"
import type { Model } from "../core/Model.js"

/** An execution takes at most this part of its objective: a request may have to wait for as long. */
const executionPart = 1 / 2

/**
 * What the largest batch that the model's objective allows on a whole GPU takes longer by itself, in ms: of the GPU type where that is most.
 * @since 0.1.0
 * @category planning
 */
export const overlapAllowanceMs = (
  latency: LatencyModel, gpus: Iterable<Gpu>, { maxBatch, name, sloMs = Infinity }: Pick<Model, "name" | "maxBatch" | "sloMs">
): number => {
  const { overlapMs } = latency
  if (overlapMs === undefined) return 0
  const seen = new Set<string>()
  let most = 0
  for (const { sharesPct, type } of gpus) {
    if (seen.has(type)) continue
    seen.add(type)
    const sharePct = Math.max(...sharesPct)
    for (let batch = maxBatch; batch >= 1; batch = Math.floor(batch / 2)) {
      if (!(latency.latencyMs({ gpuType: type, model: name, sharePct, batch }) <= executionPart * sloMs)) continue
      most = Math.max(most, overlapMs(type, name, batch))
      break
    }
  }
  return most
}
