/**
 * A picture of a plan, as SVG: a bar for every GPU, its glets side by side by share, their models one below the other, each filled as far as its
 * batch takes up the duty cycle.
 *
 * @since 0.1.0
 */
import type { Plan, PlannedGlet, PlannedGpu } from "../core/Plan.js"
import { gpusUsed } from "../core/Plan.js"
import { counted } from "../core/internal/counted.js"
import { short, xml } from "./internal/svgText.js"

const widthPx = 1000
const barLeftPx = 120
const pxPerPct = 8.6
const marginPx = 16
const headPx = 16
const rowPx = 22
const gapPx = 16
const lettersPerPx = 1 / 6.4

/** More would be no picture any more. */
const mostGpus = 64

const px = (value: number): string => String(Math.round(value * 10) / 10)

/** As much of a text as a width has room for. */
const fitted = (text: string, width: number): string => {
  const letters = [...text]
  const room = Math.floor(width * lettersPerPx)
  if (letters.length <= room) return text
  return room < 4 ? "" : `${letters.slice(0, room - 1).join("")}…`
}

/** The first of two texts that fits. */
const either = (long: string, brief: string, width: number): string => (long.length <= Math.floor(width * lettersPerPx) ? long : brief)

const gpuCount = (count: number): string => counted(count, "GPU")

interface Work {
  readonly model: string
  readonly label: string
  readonly detail: string
  /** The part of the duty cycle that it takes. */
  readonly busy: number
  readonly isBestEffort: boolean
}

const worksOf = ({ assignments, bestEffort, dutyMs }: PlannedGlet): ReadonlyArray<Work> => [
  ...assignments.map(({ batch, capacityRps, latencyMs, model, rateRps, worstMs }): Work => ({
    model,
    label: `${model} ×${batch}`,
    detail: `${model}: batch ${batch} every ${short(dutyMs)} ms, ${short(rateRps)} of ${short(capacityRps)} items/s, ${short(latencyMs)} ms a batch, worst ${short(worstMs)} ms`,
    busy: dutyMs > 0 ? Math.min(1, latencyMs / dutyMs) : 0,
    isBestEffort: false
  })),
  ...bestEffort.map(({ batch, blockingMs, model }): Work => ({
    model, label: `${model} ×${batch}`, detail: `${model}: best effort, batch up to ${batch}, ${short(blockingMs)} ms`, busy: 0, isBestEffort: true
  }))
]

const rowsOf = (glets: ReadonlyArray<PlannedGlet>): number => Math.max(1, ...glets.map((glet) => glet.assignments.length + glet.bestEffort.length))
const groundOf = ({ glets }: PlannedGpu): ReadonlyArray<PlannedGlet> => glets.filter(({ overlay }) => overlay !== true)
const overlaysOf = ({ glets }: PlannedGpu): ReadonlyArray<PlannedGlet> => glets.filter(({ overlay }) => overlay === true)
/** Overlays stand under what they lie over. */
const heightOf = (gpu: PlannedGpu): number => {
  const overlays = overlaysOf(gpu)
  return headPx + rowsOf(groundOf(gpu)) * rowPx + (overlays.length === 0 ? 0 : headPx + rowsOf(overlays) * rowPx)
}

const gletLines = (glet: PlannedGlet, left: number, top: number, hues: ReadonlyMap<string, number>): ReadonlyArray<string> => {
  const width = glet.sharePct * pxPerPct
  const works = worksOf(glet)
  const share = `${glet.overlay === true ? "over it " : ""}${glet.sharePct} %`
  const head = either(glet.assignments.length > 0 ? `${share}, ${short(glet.dutyMs)} ms` : share, `${glet.sharePct} %`, width - 8)
  const lines = [`<text x="${px(left + 2)}" y="${top + headPx - 5}" fill="#555">${head}</text>`]
  works.forEach(({ busy, detail, isBestEffort, label, model }, row) => {
    const y = top + headPx + row * rowPx
    const hue = hues.get(model) ?? 0
    const dash = isBestEffort ? " stroke-dasharray=\"3 2\"" : ""
    const frame = `x="${px(left + 1)}" y="${y}" width="${px(width - 2)}" height="${rowPx - 2}" rx="2"`
    const shown = fitted(label, width - 8)
    lines.push(
      `<g><title>${xml(detail)}</title><rect ${frame} fill="hsl(${hue},55%,${isBestEffort ? 97 : 92}%)" stroke="hsl(${hue},45%,45%)"${dash}/>` +
        (busy > 0 ? `<rect x="${px(left + 1.5)}" y="${y + 0.5}" width="${px((width - 3) * busy)}" height="${rowPx - 3}" rx="1.5" fill="hsl(${hue},60%,78%)"/>` : "") +
        (shown === "" ? "" : `<text x="${px(left + 5)}" y="${y + 14}">${xml(shown)}</text>`) + "</g>"
    )
  })
  return lines
}

const gpuLines = (gpu: PlannedGpu, top: number, hues: ReadonlyMap<string, number>): ReadonlyArray<string> => {
  const ground = groundOf(gpu)
  const height = rowsOf(ground) * rowPx - 2
  const y = top + headPx
  const name = fitted(gpu.gpu, (barLeftPx - marginPx) * 0.85)
  const lines = [`<text x="${marginPx}" y="${y + 14}" font-weight="bold">${xml(name)}<title>${xml(`${gpu.gpu}, ${gpu.type}`)}</title></text>`]
  let left = barLeftPx
  for (const glet of ground) {
    lines.push(...gletLines(glet, left, top, hues))
    left += glet.sharePct * pxPerPct
  }
  let overLeft = barLeftPx
  for (const glet of overlaysOf(gpu)) {
    lines.push(...gletLines(glet, overLeft, top + headPx + rowsOf(ground) * rowPx, hues))
    overLeft += glet.sharePct * pxPerPct
  }
  const idlePct = 100 - ground.reduce((sum, { sharePct }) => sum + sharePct, 0)
  if (idlePct > 0) {
    const width = idlePct * pxPerPct
    lines.push(
      `<rect x="${px(left + 1)}" y="${y}" width="${px(width - 2)}" height="${height}" rx="2" fill="none" stroke="#bbb" stroke-dasharray="2 3"/>`,
      `<text x="${px(left + 5)}" y="${y + 14}" fill="#888">${either(`${idlePct} % free`, `${idlePct} %`, width - 8)}</text>`
    )
  }
  return lines
}

/**
 * The picture. Equal plans give equal bytes; it names no font file, script or other resource. GPUs without glets are only counted.
 * @since 0.1.0
 * @category pictures
 */
export const planPicture = (plan: Plan, title?: string): string => {
  const used = plan.gpus.filter(({ glets }) => glets.length > 0)
  const drawn = used.slice(0, mostGpus)
  const models = [...new Set(used.flatMap(({ glets }) => glets.flatMap((glet) => worksOf(glet).map(({ model }) => model))))].sort()
  // The golden angle keeps neighbours in the list apart, however many there are.
  const hues = new Map(models.map((model, i) => [model, Math.round(i * 137.508) % 360]))
  const lines: Array<string> = []
  let top = marginPx + 24
  for (const gpu of drawn) {
    lines.push(...gpuLines(gpu, top, hues))
    top += heightOf(gpu) + gapPx
  }
  const left = [
    ...(used.length > drawn.length ? [`${gpuCount(used.length - drawn.length)} more with glets`] : []),
    ...(plan.gpus.length > used.length ? [`${gpuCount(plan.gpus.length - used.length)} without glets`] : []),
    ...plan.shortfalls.map(({ askedRps, model, plannedRps }) => `short: ${model}, ${short(plannedRps)} of ${short(askedRps)} items/s`)
  ]
  const most = 12
  const notes = left.length > most ? [...left.slice(0, most), `and ${left.length - most} more`] : left
  for (const note of notes) {
    lines.push(`<text x="${marginPx}" y="${top + 8}" fill="#555">${xml(note)}</text>`)
    top += 16
  }
  const bound = plan.lowerBound === undefined ? "" : `, at least ${short(plan.lowerBound).replace(/\.?0+$/, "")} needed`
  const heading = title ?? `${plan.planner}: ${gpusUsed(plan)} of ${plan.gpus.length} GPUs${bound}`
  const height = top + marginPx - 8
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${widthPx} ${height}" width="${widthPx}" height="${height}" font-family="system-ui,'DejaVu Sans',sans-serif" font-size="11.5">`,
    `<title>${xml(heading)}</title>`,
    `<rect width="${widthPx}" height="${height}" fill="#fff"/>`,
    `<text x="${marginPx}" y="${marginPx + 10}" font-size="15" font-weight="bold">${xml(heading)}</text>`,
    ...lines,
    "</svg>",
    ""
  ].join("\n")
}
