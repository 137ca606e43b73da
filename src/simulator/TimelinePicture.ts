/**
 * A picture of a simulation, as SVG: the rates of all models with what was answered in time and what was not, plan changes and incidents; how busy
 * each GPU was; and, for a window, every batch on its glet.
 *
 * @since 0.1.0
 */
import { counted } from "../core/internal/counted.js"
import type { SimulationReport } from "./SimulationReport.js"
import { short, xml } from "../scheduler/internal/svgText.js"

const widthPx = 1100
const leftPx = 150
const rightPx = 28
const plotPx = widthPx - leftPx - rightPx
const panelPx = 54
const lanePx = 18
const gapPx = 14

/** More would be no picture any more. */
const mostModels = 24
const mostGpus = 16
const mostGlets = 48

const px = (value: number): string => String(Math.round(value * 100) / 100)
const seconds = (ms: number): string => `${Number((ms / 1000).toPrecision(4))} s`
const clipped = (text: string, letters: number): string => (text.length <= letters ? text : `${text.slice(0, letters - 1)}…`)

/** A line over intervals: steps from the left to the right edge. */
const steps = (all: ReadonlyArray<number>, top: number, height: number, most: number): string => {
  const values = all.slice(0, -1)
  const each = plotPx / values.length
  return values.map((value, i) => {
    const y = px(top + height - (height * Math.min(value, most)) / most)
    return `${i === 0 ? "M" : "L"}${px(leftPx + i * each)},${y}H${px(leftPx + (i + 1) * each)}`
  }).join("")
}

const closed = (path: string, bottom: number): string => `${path}V${px(bottom)}H${px(leftPx)}Z`

/** Round marks on a time axis. */
const marks = (fromMs: number, toMs: number): ReadonlyArray<number> => {
  const rough = (toMs - fromMs) / 8
  const unit = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((size) => size >= rough) ?? rough
  const all: Array<number> = []
  for (let at = Math.ceil(fromMs / step) * step; at <= toMs + step * 1e-9; at += step) all.push(at)
  return all
}

const axis = (fromMs: number, toMs: number, top: number, bottom: number): ReadonlyArray<string> =>
  marks(fromMs, toMs).flatMap((at) => {
    const x = px(leftPx + (plotPx * (at - fromMs)) / (toMs - fromMs))
    return [
      `<line x1="${x}" y1="${px(top)}" x2="${x}" y2="${px(bottom)}" stroke="#ddd"/>`,
      `<text x="${x}" y="${px(bottom + 12)}" text-anchor="middle" fill="#555">${toMs - fromMs < 1000 ? `${Number(at.toPrecision(6))} ms` : seconds(at)}</text>`
    ]
  })

/**
 * The picture. Equal reports give equal bytes; it names no font file, script or other resource.
 * @since 0.1.0
 * @category pictures
 */
export const timelinePicture = (report: SimulationReport, title?: string): string => {
  const { durationMs, incidents, plans, timeline } = report
  const { batches, intervalMs } = timeline
  const hues = new Map(timeline.models.map((_, i) => [i, Math.round(i * 137.508) % 360]))
  const lines: Array<string> = []
  let top = 60
  const label = (text: string, y: number, extra = "") => lines.push(`<text x="${leftPx - 8}" y="${px(y)}" text-anchor="end"${extra}>${xml(clipped(text, 22))}<title>${xml(text)}</title></text>`)

  const firstTop = top
  timeline.models.slice(0, mostModels).forEach((model, i) => {
    const perSecond = (counts: ReadonlyArray<number>) => counts.map((count) => (1000 * count) / intervalMs)
    const offered = perSecond(timeline.offered[i]!)
    const good = perSecond(timeline.good[i]!)
    const bad = perSecond(timeline.bad[i]!)
    const most = Math.max(1e-9, ...offered.slice(0, -1), ...good.slice(0, -1), ...bad.slice(0, -1))
    const bottom = top + panelPx
    const hue = hues.get(i)!
    const stream = report.models[i]
    label(model, top + 14, " font-weight=\"bold\"")
    label(`up to ${short(most)}/s`, top + 28, " fill=\"#555\"")
    if (stream?.sloMs !== undefined) label(`${(100 * stream.sloKept).toFixed(2)} % in ${short(stream.sloMs)} ms`, top + 42, " fill=\"#555\"")
    lines.push(
      `<rect x="${leftPx}" y="${px(top)}" width="${plotPx}" height="${panelPx}" fill="#fafafa"/>`,
      `<path d="${closed(steps(good, top, panelPx, most), bottom)}" fill="hsl(${hue},60%,82%)"/>`,
      `<path d="${closed(steps(bad, top, panelPx, most), bottom)}" fill="#d33"/>`,
      `<path d="${steps(offered, top, panelPx, most)}" fill="none" stroke="hsl(${hue},55%,38%)" stroke-width="1"/>`
    )
    top += panelPx + gapPx / 2
  })
  timeline.gpus.slice(0, mostGpus).forEach((gpu, i) => {
    const height = panelPx / 2
    label(gpu, top + 12, " font-weight=\"bold\"")
    label("busy", top + 24, " fill=\"#555\"")
    lines.push(
      `<rect x="${leftPx}" y="${px(top)}" width="${plotPx}" height="${height}" fill="#fafafa"/>`,
      `<path d="${closed(steps(timeline.busy[i]!, top, height, 1), top + height)}" fill="#9ab"/>`
    )
    top += height + gapPx / 2
  })
  const bottom = top
  lines.unshift(...axis(0, durationMs, firstTop, bottom))
  for (const plan of plans) {
    const x = px(leftPx + (plotPx * Math.min(plan.atMs, durationMs)) / durationMs)
    lines.push(
      `<g><title>${xml(`plan ${plan.generation} at ${seconds(plan.atMs)}: ${plan.reason}; ${counted(plan.glets, "glet")} on ${counted(plan.gpus, "GPU")}, ${plan.opened} opened, ${plan.closed} closed`)}</title>` +
        `<line x1="${x}" y1="${firstTop - 6}" x2="${x}" y2="${px(bottom)}" stroke="#06c" stroke-dasharray="4 3"/><circle cx="${x}" cy="${firstTop - 8}" r="4" fill="#06c"/></g>`
    )
  }
  for (const { atMs, detail } of incidents) {
    const x = leftPx + (plotPx * Math.min(atMs, durationMs)) / durationMs
    lines.push(
      `<g><title>${xml(`${seconds(atMs)}: ${detail}`)}</title><line x1="${px(x)}" y1="${firstTop - 6}" x2="${px(x)}" y2="${px(bottom)}" stroke="#d33"/>` +
        `<path d="M${px(x - 4)},${firstTop - 12}l8,8m0,-8l-8,8" stroke="#d33" stroke-width="2"/></g>`
    )
  }
  top += 28

  const glets = [...new Map(batches.list.map((batch) => [batch.glet, batch])).values()].sort((a, b) => a.gpu - b.gpu || (a.glet < b.glet ? -1 : 1))
  if (glets.length > 0) {
    const { fromMs, toMs } = batches
    lines.push(`<text x="${leftPx}" y="${px(top)}" font-weight="bold">Batches from ${seconds(fromMs)} to ${seconds(toMs)}${batches.omitted > 0 ? `, ${batches.omitted} more not shown` : ""}</text>`)
    top += 8
    const windowTop = top
    const rows = new Map<string, number>()
    for (const { glet, gpu, sharePct } of glets.slice(0, mostGlets)) {
      rows.set(glet, top)
      label(`${glet}, ${sharePct} %`, top + 13)
      lines.push(`<rect x="${leftPx}" y="${px(top + 1)}" width="${plotPx}" height="${lanePx - 2}" fill="${gpu % 2 === 0 ? "#f4f4f4" : "#fafafa"}"/>`)
      top += lanePx
    }
    const drawn: Array<string> = []
    for (const { endMs, glet, items, model, startMs } of batches.list) {
      const y = rows.get(glet)
      if (y === undefined) continue
      const x = leftPx + (plotPx * (startMs - fromMs)) / (toMs - fromMs)
      const width = Math.max(0.4, (plotPx * (Math.min(endMs, toMs) - startMs)) / (toMs - fromMs))
      const hue = hues.get(model)!
      const name = timeline.models[model]!
      drawn.push(
        `<g><title>${xml(`${name}: ${items} items, ${short(endMs - startMs)} ms from ${short(startMs)} ms`)}</title>` +
          `<rect x="${px(x)}" y="${px(y + 2)}" width="${px(width)}" height="${lanePx - 4}" fill="hsl(${hue},60%,74%)" stroke="hsl(${hue},50%,42%)" stroke-width="0.5"/>` +
          (width > 18 ? `<text x="${px(x + 3)}" y="${px(y + 13)}" font-size="9.5">${xml(clipped(width > 7 * (name.length + 4) ? `${name} ×${items}` : String(items), Math.floor(width / 6)))}</text>` : "") + "</g>"
      )
    }
    lines.push(...axis(fromMs, toMs, windowTop, top), ...drawn)
    if (glets.length > mostGlets) lines.push(`<text x="${leftPx}" y="${px(top + 26)}" fill="#555">and ${counted(glets.length - mostGlets, "more glet")}</text>`)
    top += 34
  }
  const used = [...new Set(batches.list.map(({ model }) => model))].sort((a, b) => a - b)
  used.slice(0, mostModels).forEach((model, i) => {
    const x = leftPx + (i % 6) * 150
    const y = top + Math.floor(i / 6) * 16
    lines.push(`<rect x="${x}" y="${y - 9}" width="10" height="10" fill="hsl(${hues.get(model)!},60%,74%)"/><text x="${x + 14}" y="${y}">${xml(clipped(timeline.models[model]!, 20))}</text>`)
  })
  top += 16 * Math.ceil(Math.min(used.length, mostModels) / 6)

  const heading = title ?? `${report.planner}: ${(100 * report.total.sloKept).toFixed(2)} % within the SLO, ${short(report.total.goodputRps)} good answers/s`
  const legend = "Line: requests that arrive. Area: answered within the SLO. Red: late, dropped or failed. Blue dots: plans. Red crosses: incidents."
  const height = Math.ceil(top + 8)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${widthPx} ${height}" width="${widthPx}" height="${height}" font-family="system-ui,'DejaVu Sans',sans-serif" font-size="11">`,
    `<title>${xml(heading)}</title>`,
    `<rect width="${widthPx}" height="${height}" fill="#fff"/>`,
    `<text x="16" y="22" font-size="15" font-weight="bold">${xml(heading)}</text>`,
    `<text x="16" y="38" fill="#555">${legend}</text>`,
    ...lines,
    "</svg>",
    ""
  ].join("\n")
}
