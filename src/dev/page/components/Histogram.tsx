import { binCount, latencyAt, positionOf } from "../../LatencyBins.js"
import type { ModelFrame } from "../../Messages.js"
import { ms, percent } from "../words.js"

const width = 336
const height = 44
const ticks = [1, 10, 100, 1000, 10_000]

const inWords = (name: string, frame: ModelFrame | undefined, sloMs: number | undefined): string =>
  frame === undefined || frame.answered === 0
    ? `Latencies of ${name}: none yet`
    : `Latencies of ${name} in the last 10 s: median ${ms(frame.p50Ms)}, 99th percentile ${ms(frame.p99Ms)}${
      sloMs === undefined ? "" : `, SLO ${ms(sloMs)}, kept by ${percent(frame.withinSlo / Math.max(1, frame.answered + frame.lost))}`
    }`

/** Latencies of the last seconds on a logarithmic axis, with the SLO as a line. */
export const Histogram = ({ frame, name, sloMs }: { readonly frame: ModelFrame | undefined; readonly sloMs: number | undefined; readonly name: string }) => {
  const counts = frame?.histogram
  let most = 1
  for (let bin = 0; bin < binCount; bin++) most = Math.max(most, counts?.[bin] ?? 0)
  const barWidth = width / binCount
  const sloX = sloMs === undefined ? undefined : positionOf(sloMs) * width
  let good = ""
  let late = ""
  for (let bin = 0; bin < binCount; bin++) {
    const count = counts?.[bin] ?? 0
    if (count === 0) continue
    const barHeight = Math.max(1.5, Math.sqrt(count / most) * (height - 4))
    const bar = `M${(bin * barWidth + 0.5).toFixed(1)} ${height}v${(-barHeight).toFixed(1)}h${(barWidth - 1).toFixed(1)}V${height}z`
    if (sloMs !== undefined && latencyAt((bin + 0.5) / binCount) > sloMs) late += bar
    else good += bar
  }
  return (
    <svg class="histogram" viewBox={`0 0 ${width} ${height + 12}`} role="img" aria-label={inWords(name, frame, sloMs)}>
      <path class="within" d={good} />
      <path class="late" d={late} />
      <path class="axis" d={`M0 ${height + 0.5}H${width}`} />
      {ticks.map((tick) => <text key={tick} class="tick" x={positionOf(tick) * width} y={height + 11}>{tick < 1000 ? `${tick} ms` : `${tick / 1000} s`}</text>)}
      {sloX !== undefined && (
        <>
          <path class="slo" d={`M${sloX.toFixed(1)} 0V${height}`} />
          <text class="slo-label" x={sloX + (sloX > width - 40 ? -4 : 4)} y="9" text-anchor={sloX > width - 40 ? "end" : "start"}>SLO</text>
        </>
      )}
    </svg>
  )
}
