import { useEffect, useRef } from "preact/hooks"
import type { Frame } from "../../Messages.js"
import { batchStride } from "../../Messages.js"
import type { Store, View } from "../store.js"
import { ms } from "../words.js"
import { hueOf } from "./colours.js"
import { useMedia } from "./hooks.js"

/** What is shown, in real time: long enough to see a rhythm, short enough to see batches. */
const windowRealMs = 3000
/** Frames come ten times a second and tell of batches that have ended: the picture runs so much behind that it is whole. */
const delayRealMs = 350
const laneHeight = 22
const gutter = 92
const axisHeight = 18
const mostKept = 12_000

interface Kept {
  readonly glet: string
  readonly model: string
  readonly items: number
  readonly startMs: number
  readonly endMs: number
}

/** Batches of the last seconds; the newest last. */
class Batches {
  list: Array<Kept> = []
  nowMs = 0
  receivedMs = 0

  take(frame: Frame, spanMs: number): void {
    this.nowMs = frame.nowMs
    this.receivedMs = performance.now()
    for (let i = 0; i < frame.batches.length; i += batchStride) {
      this.list.push({
        glet: frame.glets[frame.batches[i]!]!, model: frame.models[frame.batches[i + 1]!]?.name ?? "", items: frame.batches[i + 2]!,
        startMs: frame.batches[i + 3]!, endMs: frame.batches[i + 4]!
      })
    }
    const from = frame.nowMs - 1.3 * spanMs
    const first = this.list.findIndex(({ endMs }) => endMs >= from)
    this.list = first < 0 ? [] : this.list.slice(Math.max(first, this.list.length - mostKept))
  }
}

interface Palette {
  readonly text: string
  readonly line: string
  readonly fillLight: number
  readonly inkLight: number
}

const paletteOf = (element: HTMLElement): Palette => {
  const style = getComputedStyle(element)
  const isDark = style.getPropertyValue("--dark").trim() === "1"
  return { text: style.getPropertyValue("--muted").trim(), line: style.getPropertyValue("--line").trim(), fillLight: isDark ? 0.62 : 0.7, inkLight: isDark ? 0.16 : 0.2 }
}

const draw = (
  canvas: HTMLCanvasElement, batches: Batches, lanes: ReadonlyArray<string>, names: ReadonlyArray<string>, spanMs: number, speed: number, running: boolean, palette: Palette
): void => {
  const context = canvas.getContext("2d")
  if (context === null) return
  const scale = devicePixelRatio
  const width = canvas.clientWidth
  const height = lanes.length * laneHeight + axisHeight
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale)
    canvas.height = Math.round(height * scale)
  }
  context.setTransform(scale, 0, 0, scale, 0, 0)
  context.clearRect(0, 0, width, height)
  context.font = "11px system-ui, sans-serif"
  context.textBaseline = "middle"
  const sinceMs = running ? Math.min(400, performance.now() - batches.receivedMs) : delayRealMs
  const toMs = batches.nowMs + (sinceMs - delayRealMs) * speed
  const fromMs = toMs - spanMs
  const x = (at: number): number => gutter + ((at - fromMs) / spanMs) * (width - gutter)
  const row = new Map(lanes.map((lane, i) => [lane, i]))

  context.strokeStyle = palette.line
  context.fillStyle = palette.text
  context.lineWidth = 1
  context.textAlign = "left"
  lanes.forEach((lane, i) => {
    const y = i * laneHeight
    context.fillText(lane, 0, y + laneHeight / 2, gutter - 8)
    context.beginPath()
    context.moveTo(gutter, y + laneHeight - 0.5)
    context.lineTo(width, y + laneHeight - 0.5)
    context.stroke()
  })
  // Lines stand still while batches pass them, so that what is written below can be read.
  const step = spanMs / (width - gutter > 560 ? 6 : 3)
  context.textAlign = "center"
  for (let at = toMs - step; at > fromMs + step / 2; at -= step) {
    const px = x(at)
    context.globalAlpha = 0.6
    context.beginPath()
    context.moveTo(px, 0)
    context.lineTo(px, height - axisHeight)
    context.stroke()
    context.globalAlpha = 1
    context.fillText(`−${ms(toMs - at)}`, px, height - axisHeight / 2)
  }
  context.save()
  context.beginPath()
  context.rect(gutter, 0, width - gutter, height)
  context.clip()
  for (const { endMs, glet, items, model, startMs } of batches.list) {
    const at = row.get(glet)
    if (at === undefined || endMs < fromMs) continue
    const left = x(startMs)
    const blockWidth = Math.max(1, x(endMs) - left - 0.5)
    const hue = hueOf(names, model)
    context.fillStyle = `oklch(${palette.fillLight} 0.13 ${hue})`
    context.fillRect(left, at * laneHeight + 2.5, blockWidth, laneHeight - 6)
    if (blockWidth > 14) {
      context.fillStyle = `oklch(${palette.inkLight} 0.03 ${hue})`
      context.fillText(String(items), left + blockWidth / 2, at * laneHeight + laneHeight / 2)
    }
  }
  context.restore()
}

/** Batches as they ran on each glet: a block is as wide as it took, its number the items in it. */
export const Timeline = ({ names, store, view }: { readonly store: Store; readonly view: View; readonly names: ReadonlyArray<string> }) => {
  const canvas = useRef<HTMLCanvasElement>(null)
  const batches = useRef(new Batches())
  const isStill = useMedia("(prefers-reduced-motion: reduce)")
  const lanes = view.state === undefined ? [] : view.state.plan.gpus.flatMap(({ glets }) => glets.map(({ id }) => id as string))
  const speed = view.state?.speed ?? 1
  const spanMs = windowRealMs * speed
  const running = view.state?.traffic ?? false
  const laneKey = lanes.join()

  useEffect(() => {
    batches.current = new Batches()
  }, [view.world])
  useEffect(() => {
    const element = canvas.current
    if (element === null) return
    let palette = paletteOf(element)
    let frameId = 0
    let lastMs = 0
    const paint = (): void => {
      lastMs = performance.now()
      draw(element, batches.current, lanes, names, spanMs, speed, running && !isStill, palette)
    }
    const loop = (): void => {
      if (performance.now() - lastMs >= 30) paint()
      frameId = requestAnimationFrame(loop)
    }
    const onFrame = (frame: Frame): void => {
      batches.current.take(frame, spanMs)
      // Whoever wants no motion gets a new picture now and then.
      if (isStill ? performance.now() - lastMs >= 1000 : !running) paint()
    }
    const onLook = (): void => {
      palette = paletteOf(element)
      paint()
    }
    store.onFrame.add(onFrame)
    const resized = new ResizeObserver(onLook)
    resized.observe(element)
    const themed = new MutationObserver(onLook)
    themed.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] })
    paint()
    if (running && !isStill) loop()
    return () => {
      cancelAnimationFrame(frameId)
      store.onFrame.delete(onFrame)
      resized.disconnect()
      themed.disconnect()
    }
  }, [store, laneKey, names, spanMs, running, isStill])

  return (
    <section class="timeline" aria-labelledby="timeline-title">
      <div class="head">
        <h2 id="timeline-title">Batches</h2>
        <p class="reason">the last {ms(spanMs)}{speed === 1 ? "" : `, at ${speed} of real time`}; a number is how many requests ran together</p>
      </div>
      <canvas ref={canvas} style={{ height: `${lanes.length * laneHeight + axisHeight}px` }} role="img"
        aria-label={`Batches of the last ${ms(spanMs)} on ${lanes.length} glets. ${running ? "Traffic is running." : "Traffic is paused."}`} />
    </section>
  )
}
