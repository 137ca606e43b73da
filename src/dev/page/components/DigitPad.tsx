import { useEffect, useRef, useState } from "preact/hooks"
import type { Store, View } from "../store.js"
import { ms } from "../words.js"
import { lenetInput } from "../../DigitImages.js"
import { centred, emptyPad, padSide, stroke } from "../digits.js"
import type { Pad } from "../digits.js"

const digitsModel = "lenet-digits"
const cell = 10

const softmax = (logits: Float32Array): ReadonlyArray<number> => {
  const most = Math.max(...logits)
  const powers = [...logits].map((logit) => Math.exp(logit - most))
  const sum = powers.reduce((total, power) => total + power, 0)
  return powers.map((power) => power / sum)
}

const Answer = ({ view }: { readonly view: View }) => {
  const { digit } = view
  const probabilities = digit?.output === undefined ? undefined : softmax(digit.output)
  const best = probabilities?.indexOf(Math.max(...probabilities)) ?? -1
  return (
    <div class="answer">
      <p class="verdict" role="status" aria-live="polite">
        {digit === undefined ? "Draw a digit" : probabilities === undefined ? digit.problem : <>It is a <strong>{best}</strong></>}
      </p>
      <ol aria-label="Probability of each digit">
        {Array.from({ length: 10 }, (_, i) => (
          <li key={i} class={i === best ? "best" : ""}>
            <span>{i}</span>
            <i style={{ width: `${(probabilities?.[i] ?? 0) * 100}%` }} aria-hidden="true" />
            <span class="hidden">{Math.round((probabilities?.[i] ?? 0) * 100)} %</span>
          </li>
        ))}
      </ol>
      <p class="detail">{probabilities !== undefined && digit !== undefined ? `in ${ms(digit.latencyMs)}${digit.glet === "" ? "" : ` on ${digit.glet}`}, in a batch of ${digit.batchItems}` : ""}</p>
    </div>
  )
}

/** A field to draw in, by mouse, pen, finger or keyboard; every stroke is a request to LeNet. */
export const DigitPad = ({ store, view }: { readonly store: Store; readonly view: View }) => {
  const canvas = useRef<HTMLCanvasElement>(null)
  const pad = useRef<Pad>(emptyPad())
  const pen = useRef<{ x: number; y: number; down: boolean }>({ x: padSide / 2, y: padSide / 2, down: false })
  const [isFocused, setFocused] = useState(false)
  const asked = useRef(0)
  const lastMs = useRef(0)
  const model = view.state?.models.find(({ name }) => name === digitsModel)

  const paint = (): void => {
    const context = canvas.current?.getContext("2d")
    if (context === null || context === undefined || canvas.current === null) return
    const ink = getComputedStyle(canvas.current).color
    context.clearRect(0, 0, padSide * cell, padSide * cell)
    context.fillStyle = ink
    for (let i = 0; i < pad.current.length; i++) {
      if (pad.current[i]! === 0) continue
      context.globalAlpha = pad.current[i]!
      context.fillRect((i % padSide) * cell, Math.floor(i / padSide) * cell, cell, cell)
    }
    context.globalAlpha = 1
    if (isFocused && document.activeElement === canvas.current && canvas.current.matches(":focus-visible")) {
      context.strokeStyle = ink
      context.strokeRect(Math.floor(pen.current.x) * cell + 0.5, Math.floor(pen.current.y) * cell + 0.5, cell - 1, cell - 1)
    }
  }
  const ask = (now: boolean): void => {
    if (!now && performance.now() - lastMs.current < 80) return
    lastMs.current = performance.now()
    store.send({ kind: "infer", id: ++asked.current, model: digitsModel, input: centred(pad.current) })
  }
  const draw = (x: number, y: number): void => {
    stroke(pad.current, pen.current.x, pen.current.y, x, y)
    pen.current.x = x
    pen.current.y = y
    paint()
    ask(false)
  }
  const place = (event: PointerEvent): readonly [number, number] => {
    const box = canvas.current!.getBoundingClientRect()
    return [((event.clientX - box.left) / box.width) * padSide, ((event.clientY - box.top) / box.height) * padSide]
  }
  const onKey = (event: KeyboardEvent): void => {
    const step: readonly [number, number] | undefined = event.key === "ArrowLeft" ? [-1, 0] : event.key === "ArrowRight" ? [1, 0]
      : event.key === "ArrowUp" ? [0, -1] : event.key === "ArrowDown" ? [0, 1] : undefined
    if (event.key === " ") {
      event.preventDefault()
      pen.current.down = !pen.current.down
      if (pen.current.down) draw(pen.current.x, pen.current.y)
      return
    }
    if (step === undefined) return
    event.preventDefault()
    const x = Math.min(padSide - 1, Math.max(0, pen.current.x + step[0]))
    const y = Math.min(padSide - 1, Math.max(0, pen.current.y + step[1]))
    if (pen.current.down) draw(x, y)
    else {
      pen.current.x = x
      pen.current.y = y
      paint()
    }
  }
  useEffect(paint)
  const isReady = model?.state === "ready"
  // Now, for later the page's server may have ended.
  useEffect(() => {
    if (isReady) void readSamples()
  }, [isReady])
  return (
    <section class="digits" aria-labelledby="digits-title">
      <div class="head">
        <h2 id="digits-title">Your handwriting</h2>
      </div>
      {view.world === "replay"
        ? (
          <div class="elsewhere">
            <p>These GPUs are a replay and compute nothing. On your own device LeNet reads what you write.</p>
            <button type="button" onClick={() => store.open("device")}>Run on this device</button>
          </div>
        )
        : (
          <div class="pad">
            <div>
              <canvas
                ref={canvas} width={padSide * cell} height={padSide * cell} tabIndex={0} role="application"
                aria-label="Drawing field. Arrow keys move, space puts the pen down or lifts it."
                onFocus={() => setFocused(true)} onBlur={() => {
                  pen.current.down = false
                  setFocused(false)
                }}
                onKeyDown={onKey}
                onPointerDown={(event) => {
                  event.currentTarget.setPointerCapture(event.pointerId)
                  const [x, y] = place(event)
                  pen.current = { x, y, down: true }
                  draw(x, y)
                }}
                onPointerMove={(event) => {
                  if (event.currentTarget.hasPointerCapture(event.pointerId)) draw(...place(event))
                }}
                onPointerUp={() => {
                  pen.current.down = false
                  ask(true)
                }}
              />
              <div class="buttons">
                <button type="button" onClick={() => {
                  pad.current = emptyPad()
                  paint()
                }}>Clear</button>
                <button type="button" disabled={!isReady} onClick={() => void sampleDigit().then((sample) => {
                  if (sample === undefined) return
                  pad.current = sample
                  paint()
                  ask(true)
                })}>A digit from the test set</button>
              </div>
            </div>
            <Answer view={view} />
          </div>
        )}
    </section>
  )
}

type Samples = ReadonlyArray<ReadonlyArray<number>>

let reading: Promise<Samples | undefined> | undefined
let nextSample = 0

/** Of the demo's test set, which the world has read before; undefined where it cannot be had. */
const readSamples = (): Promise<Samples | undefined> =>
  reading ??= fetch("/resource/demo/digits-test.json", { cache: "force-cache" }).then(async (response) => ((await response.json()) as { readonly images: Samples }).images).catch(() => reading = undefined)

const sampleDigit = async (): Promise<Pad | undefined> => {
  const samples = await readSamples()
  return samples && lenetInput(samples[nextSample++ % samples.length]!)
}
