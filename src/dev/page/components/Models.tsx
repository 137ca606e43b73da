import { useEffect, useRef, useState } from "preact/hooks"
import type { ModelControls, ModelFrame, ModelView } from "../../Messages.js"
import type { Store, View } from "../store.js"
import { ms, percent, rate } from "../words.js"
import { hueStyle } from "./colours.js"
import { Histogram } from "./Histogram.js"
import { Slider } from "./Slider.js"

const largestFileBytes = 512 * 2 ** 20

const isSame = (a: ModelControls, b: ModelControls): boolean => a.serviceClass === b.serviceClass && a.sloMs === b.sloMs && a.rateRps === b.rateRps

const Card = ({ frame, model, names, store }: {
  readonly model: ModelView; readonly frame: ModelFrame | undefined; readonly store: Store; readonly names: ReadonlyArray<string>
}) => {
  // What was moved here counts until the host says the same.
  const [moved, setMoved] = useState<ModelControls | undefined>(undefined)
  const controls = moved ?? model.controls
  useEffect(() => {
    if (moved !== undefined && isSame(moved, model.controls)) setMoved(undefined)
  }, [moved, model.controls])
  const change = (part: Partial<ModelControls>, final: boolean): void => {
    const next = { ...controls, ...part }
    setMoved(next)
    store.send({ kind: "controls", model: model.name, controls: next, final })
  }
  const isCritical = controls.serviceClass === "latency-critical"
  const requests = (frame?.answered ?? 0) + (frame?.lost ?? 0)
  const kept = frame === undefined || requests === 0 ? undefined : frame.withinSlo / requests
  // What was measured and finds no room can be asked for less.
  const usable = model.state !== "measuring" && model.soloMs !== undefined
  const isServed = model.state !== "failed"
  const rates = [
    ...(frame !== undefined && requests > 0 ? [`${rate(frame.offeredRps)} now`] : []),
    ...(isCritical && isServed ? [`planned ${rate(model.plannedRps)}`] : [])
  ].join(", ")
  return (
    <li class={`card ${model.state}`} style={hueStyle(names, model.name)}>
      <div class="title">
        <h3 title={model.name}><i class="swatch" aria-hidden="true" /><span>{model.name}</span></h3>
        {model.state === "ready"
          ? frame !== undefined && requests > 0 && (
            <p class="numbers">
              {isCritical && kept !== undefined && <><strong class={kept >= 0.99 ? "good" : "bad"}>{percent(kept)}</strong> kept, </>}
              p99 {ms(frame.p99Ms)}
            </p>
          )
          : <p class={`numbers ${isServed ? "" : "bad"}`}>{isServed || !usable ? model.state : "not served"}</p>}
        {model.removable && <button type="button" class="icon" aria-label={`Remove ${model.name}`} onClick={() => store.send({ kind: "remove", model: model.name })}>×</button>}
      </div>
      {model.detail !== "" && <p class={isServed ? "detail" : "detail bad"}>{model.detail}</p>}
      {usable && (
        <>
          {isServed && <Histogram frame={frame} sloMs={isCritical ? controls.sloMs : undefined} name={model.name} />}
          <div class="sliders">
            {isCritical
              ? (
                <Slider
                  label="SLO" name={`SLO of ${model.name}`} value={controls.sloMs} least={1} most={2000} log shown={ms}
                  onMove={(sloMs) => change({ sloMs }, false)} onDone={(sloMs) => change({ sloMs }, true)}
                />
              )
              : <p class="best">Best effort: fills what is left</p>}
            <Slider
              label="Rate" name={`Rate of ${model.name}`} value={controls.rateRps} least={0} most={model.largestRateRps} shown={rate}
              onMove={(rateRps) => change({ rateRps }, false)} onDone={(rateRps) => change({ rateRps }, true)}
            />
          </div>
          <div class="foot">
            <label class="check">
              <input type="checkbox" checked={!isCritical} onChange={(event) => change({ serviceClass: event.currentTarget.checked ? "best-effort" : "latency-critical" }, true)} />
              best effort
            </label>
            <span>{rates}</span>
            {frame !== undefined && frame.checked > 0 && <span class="right">{percent(frame.right / frame.checked)} of answers right</span>}
            {frame !== undefined && frame.lost > 0 && <span class="bad">{frame.lost.toLocaleString("en")} refused</span>}
          </div>
        </>
      )}
    </li>
  )
}

const Add = ({ store, view }: { readonly store: Store; readonly view: View }) => {
  const [over, setOver] = useState(false)
  const [problem, setProblem] = useState("")
  const input = useRef<HTMLInputElement>(null)
  const add = async (files: Iterable<File>): Promise<void> => {
    setProblem("")
    for (const file of files) {
      if (!/\.onnx$/i.test(file.name)) setProblem(`${file.name} is not an .onnx file`)
      else if (file.size > largestFileBytes) setProblem(`${file.name} is larger than 512 MiB`)
      else store.send({ kind: "add", name: file.name.replace(/\.onnx$/i, "").slice(0, 64), bytes: new Uint8Array(await file.arrayBuffer()) })
    }
  }
  if (view.state?.canAdd !== true) return null
  return (
    <li
      class={`card add ${over ? "over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault()
        setOver(false)
        void add(event.dataTransfer?.files ?? [])
      }}
    >
      <p>Drop <code>.onnx</code> files here</p>
      <button type="button" onClick={() => input.current?.click()}>Choose files</button>
      <input ref={input} type="file" accept=".onnx" multiple class="hidden" tabIndex={-1} aria-label="ONNX files" onChange={(event) => void add(event.currentTarget.files ?? [])} />
      {problem !== "" && <p role="alert" class="bad">{problem}</p>}
    </li>
  )
}

/** More do not fit beside the plan: the list scrolls, and says how many there are. */
const listed = 8

export const Models = ({ names, store, view }: { readonly store: Store; readonly view: View; readonly names: ReadonlyArray<string> }) => (
  <section class="models" aria-labelledby="models-title">
    <h2 id="models-title">Models{names.length > listed && <small> {names.length}</small>}</h2>
    <ul>
      {view.state === undefined && Array.from({ length: 4 }, (_, i) => <li key={i} class="card ghost" aria-hidden="true" />)}
      {view.state?.models.map((model) => (
        <Card key={model.name} model={model} names={names} store={store} frame={view.frame?.models.find(({ name }) => name === model.name)} />
      ))}
      <Add store={store} view={view} />
    </ul>
  </section>
)
