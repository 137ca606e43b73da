/** The roofline with every typed batch on it: equal inputs give equal bytes. */
import type { ModelProfile } from "../../core/Profile.js"
import type { Roofline } from "../../core/WorkloadType.js"
import { labelOf } from "../../core/WorkloadType.js"
import { short, xml } from "../../scheduler/internal/svgText.js"
import { labelPlaces } from "./labelPlaces.js"

const width = 860
const height = 520
const margin = { left: 72, right: 190, top: 44, bottom: 56 }
const letterPx = 6.1
const colours: ReadonlyMap<string, string> = new Map([["compute-bound", "#b5402d"], ["memory-bound", "#2d6fb5"], ["balanced", "#7a7a2d"]])

/** Whole powers of ten around the values. */
const decades = (values: ReadonlyArray<number>): readonly [number, number] => {
  const known = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10)
  const low = Math.floor(Math.min(...known))
  return [low, Math.max(low + 1, Math.ceil(Math.max(...known)))]
}

export const rooflinePicture = (profiles: ReadonlyArray<ModelProfile>, roofline: Roofline, title: string): string => {
  const points = profiles.flatMap(({ model, types = [] }) => types.flatMap((type) =>
    type.bytes > 0 && type.flopPerS > 0 ? [{ model, type, intensity: type.flop / type.bytes }] : []))
  const ridge = roofline.flopPerS / roofline.bytesPerS
  const [x0, x1] = decades([ridge, ...points.map(({ intensity }) => intensity)])
  const [y0, y1] = decades([roofline.flopPerS, ...points.map(({ type }) => type.flopPerS)])
  const x = (value: number): number => margin.left + ((Math.log10(value) - x0) / (x1 - x0)) * (width - margin.left - margin.right)
  const y = (value: number): number => height - margin.bottom - ((Math.log10(value) - y0) / (y1 - y0)) * (height - margin.top - margin.bottom)
  const at = (px: number, py: number): string => `${px.toFixed(1)},${py.toFixed(1)}`
  const left = Math.max(10 ** x0, 10 ** y0 / roofline.bytesPerS)
  const lines: Array<string> = []
  for (let decade = x0; decade <= x1; decade++) {
    const px = x(10 ** decade).toFixed(1)
    lines.push(`<line class="grid" x1="${px}" y1="${margin.top}" x2="${px}" y2="${height - margin.bottom}"/>`)
    lines.push(`<text x="${px}" y="${height - margin.bottom + 18}" text-anchor="middle">${short(10 ** decade)}</text>`)
  }
  for (let decade = y0; decade <= y1; decade++) {
    const py = y(10 ** decade).toFixed(1)
    lines.push(`<line class="grid" x1="${margin.left}" y1="${py}" x2="${width - margin.right}" y2="${py}"/>`)
    lines.push(`<text x="${margin.left - 8}" y="${Number(py) + 4}" text-anchor="end">${short(10 ** (decade - 9))}</text>`)
  }
  const roof = [at(x(left), y(left * roofline.bytesPerS)), at(x(ridge), y(roofline.flopPerS)), at(x(10 ** x1), y(roofline.flopPerS))].join(" ")
  const named = points.map((point) => ({ ...point, text: `${point.model} b${point.type.batch}`, x: x(point.intensity), y: y(point.type.flopPerS) }))
  const places = labelPlaces(named.map((point) => ({ x: point.x, y: point.y, width: letterPx * point.text.length })), margin.left, width - 8)
  const marks = named.map(({ intensity, model, text, type, x: cx, y: cy }, i) => {
    const label = labelOf(type)
    const what = `${model}, batch ${type.batch}: ${label}; ${short(type.flopPerS / 1e9)} GFLOP/s at ${short(intensity)} FLOP/byte`
    const place = places[i]!
    // A name that stands apart from its point is tied to it.
    const tie = place.y === cy ? "" : `<line class="tie" x1="${cx.toFixed(1)}" y1="${cy.toFixed(1)}" x2="${(place.x < cx ? cx - 8 : place.x).toFixed(1)}" y2="${place.y.toFixed(1)}"/>`
    return `<g><title>${xml(what)}</title>${tie}<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="5" fill="${colours.get(label)!}"/>` +
      `<text x="${place.x.toFixed(1)}" y="${(place.y + 4).toFixed(1)}">${xml(text)}</text></g>`
  })
  const flatX = (x(ridge) + x(10 ** x1)) / 2
  const slopeX = Math.sqrt(left * ridge)
  const limits = [
    `<text x="${flatX.toFixed(1)}" y="${(y(roofline.flopPerS) - 8).toFixed(1)}" text-anchor="middle">${short(roofline.flopPerS / 1e9)} GFLOP/s</text>`,
    `<text x="${(x(slopeX) - 8).toFixed(1)}" y="${(y(slopeX * roofline.bytesPerS) - 8).toFixed(1)}" text-anchor="end">${short(roofline.bytesPerS / 1e9)} GB/s</text>`,
    `<line class="ridge" x1="${x(ridge).toFixed(1)}" y1="${y(roofline.flopPerS).toFixed(1)}" x2="${x(ridge).toFixed(1)}" y2="${height - margin.bottom}"/>`,
    `<text x="${x(ridge).toFixed(1)}" y="${height - margin.bottom + 32}" text-anchor="middle">ridge ${short(ridge)}</text>`
  ]
  const legend = [...colours].map(([label, colour], i) =>
    `<circle cx="${width - margin.right + 24}" cy="${margin.top + 10 + 20 * i}" r="5" fill="${colour}"/><text x="${width - margin.right + 36}" y="${margin.top + 14 + 20 * i}">${label}</text>`)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    `<style>.ground{fill:#fff}.grid{stroke:#ddd}.roof{fill:none;stroke:#333;stroke-width:2}.ridge,.tie{stroke:#999}.ridge{stroke-dasharray:4 3}text{fill:#333}` +
    `@media(prefers-color-scheme:dark){.ground{fill:#1c1c1e}.grid{stroke:#3a3a3c}.roof{stroke:#ddd}text{fill:#ddd}circle{stroke:#ddd}}</style>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    `<text x="${margin.left}" y="22" font-size="14">${xml(title)}</text>`,
    ...lines,
    `<text x="${(margin.left + width - margin.right) / 2}" y="${height - 8}" text-anchor="middle">FLOP per byte of memory moved</text>`,
    `<text transform="translate(18 ${(margin.top + height - margin.bottom) / 2}) rotate(-90)" text-anchor="middle">GFLOP/s</text>`,
    `<polyline class="roof" points="${roof}"/>`,
    ...limits,
    ...marks,
    ...legend,
    "</svg>",
    ""
  ].join("\n")
}
