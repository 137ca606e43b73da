/**
 * `glet plan --explain`: an explanation in words.
 *
 * @since 0.1.0
 */
import type { ModelExplanation, NextGpu, PlaceExplanation } from "../../scheduler/PlanExplanation.js"
import { bold, ms, rps } from "../internal/terminal.js"

const multiple = (value: number): string => (value >= 64 ? "64x or more" : `${value.toFixed(2)}x`)

const share = ({ shareBound, sharePct, smallerPct }: PlaceExplanation): string => {
  switch (shareBound) {
    case "grid": return `${sharePct} % is the smallest share on offer`
    case "slo": return `at ${smallerPct} % even single items would miss the SLO`
    case "rate": return `at ${smallerPct} % the rate would not be carried within the SLO`
    case "none": return `${smallerPct} % would do; the rest makes it faster`
  }
}

const batch = ({ assignment, batchBound, smallerBatchRps }: PlaceExplanation): string => {
  switch (batchBound) {
    case "one": return "one item per cycle carries the rate"
    case "rate": return `${assignment.batch - 1} per cycle would carry ${rps(smallerBatchRps)} of ${rps(assignment.rateRps)} items/s`
    case "none": return `${assignment.batch - 1} per cycle would do; the larger batch leaves room`
  }
}

const growth = ({ growth, growthBound, sharePct }: PlaceExplanation): string =>
  growth >= 64 ? "64x the rate or more" : `${multiple(growth)} the rate, then ${growthBound === "slo" ? "the SLO is missed" : `${sharePct} % has no more throughput`}`

const room = ({ bound, roomOn }: ModelExplanation): string => {
  switch (bound) {
    case "none": return `another glet of it fits on ${roomOn}`
    case "memory": return "memory: no GPU in use holds another copy of it"
    case "slo": return "SLO: on the share that is left even single items would miss it"
    case "share": return "share: no GPU in use has one left that is on offer"
  }
}

const modelText = (model: ModelExplanation, colour: boolean): string => {
  const title = Number.isFinite(model.sloMs) ? `${rps(model.rateRps)} items/s within ${ms(model.sloMs)} ms` : "best effort"
  const lines = [`${bold(model.model, colour)}: ${title}`]
  for (const place of model.places) {
    const { assignment, dutyMs, glet, sharePct } = place
    const beside = place.with.length === 0 ? "" : `, in turn with ${place.with.join(", ")}`
    lines.push(
      `  ${glet}, ${sharePct} %: batch ${assignment.batch} every ${ms(dutyMs)} ms for ${rps(assignment.rateRps)} items/s, worst ${ms(assignment.worstMs)} ms${beside}`,
      `    share   ${share(place)}`,
      `    batch   ${batch(place)}`,
      `    room    ${growth(place)}`
    )
  }
  for (const glet of model.bestEffortOn) lines.push(`  ${glet}: fills what the others leave`)
  if (model.places.length === 0 && model.bestEffortOn.length === 0) lines.push("  has no place")
  lines.push(`  more of it: ${room(model)}`)
  if (model.places.length > 0) lines.push(`  should a GPU die: ${model.gpus > 1 ? `${model.gpus} GPUs serve it` : "only this one serves it, until there is a new plan"}`)
  return lines.join("\n")
}

/** @since 0.1.0 @category explanations */
export const renderExplanation = (models: ReadonlyArray<ModelExplanation>, next: NextGpu | undefined, colour: boolean): string => {
  const buys = next === undefined ? [] : [
    `The GPUs in use (${next.gpus}) carry ${multiple(next.carries)} of all rates together; with one more ${next.type} ${multiple(next.thenCarries)}.`
  ]
  return [...models.map((model) => modelText(model, colour)), ...buys].join("\n\n")
}
