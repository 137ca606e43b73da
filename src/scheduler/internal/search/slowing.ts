/**
 * What neighbours that are not known yet will do: the part by which average ones slow each model down.
 */
import type { SearchSpace } from "./searchSpace.js"

/** By kind, share and model: latencies are longer by this part. */
export type Slowing = ReadonlyArray<ReadonlyArray<Float64Array>>

const onShares = (space: SearchSpace, kind: number): ReadonlyArray<Float64Array> => {
  const { models, resources, rows } = space
  const { sharesPct } = space.kinds[kind]!
  const last = sharesPct.length - 1
  const entryOf = (model: number, share: number): number => rows.start(kind, model, share) + rows.stride
  const pressure = new Float64Array(resources)
  let count = 0
  for (let model = 0; model < models; model++) {
    if (rows.largest(kind, model, last) === 0) continue
    const entry = entryOf(model, last) + 2 + resources
    for (let r = 0; r < resources; r++) pressure[r]! += rows.data[entry + r]!
    count++
  }
  return sharesPct.map((pct) => Float64Array.from({ length: models }, (_, model) => {
    if (count === 0 || resources === 0 || rows.largest(kind, model, last) === 0) return 0
    const entry = entryOf(model, last)
    let part = 0
    for (let r = 0; r < resources; r++) part += rows.data[entry + 2 + r]! * (pressure[r]! / count)
    return (part * (100 - pct)) / 100
  }))
}

/** Times `margin`, for neighbours are not all average. */
export const slowingsOf = (space: SearchSpace, margin: number): Slowing =>
  space.kinds.map((_, kind) => onShares(space, kind).map((row) => row.map((part) => margin * part)))
