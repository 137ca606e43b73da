import { useState } from "preact/hooks"
import type { WorldName } from "../../Messages.js"
import type { Store, View } from "../store.js"
import type { Theme } from "../theme.js"
import { currentTheme, setTheme } from "../theme.js"

const plannerNames: ReadonlyArray<readonly [name: string, what: string]> = [
  ["orion", "orion: ours"], ["elastic-int", "elastic-int: gpulet with interference"], ["elastic", "elastic: gpulet"], ["greedy", "greedy: self-tuning partition"],
  ["time-share", "time-share: whole GPUs"]
]
const nextTheme: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" }

const Logo = () => (
  <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
    <rect x="2" y="6" width="12" height="20" rx="3" fill="#4f6bed" />
    <rect x="16" y="6" width="8" height="20" rx="3" fill="#e08a2c" />
    <rect x="26" y="6" width="4" height="20" rx="2" fill="#27a17c" />
  </svg>
)

const Worlds = ({ store, view }: { readonly store: Store; readonly view: View }) => {
  const option = (world: WorldName, label: string) => (
    <label class={view.world === world ? "chosen" : ""}>
      <input type="radio" name="world" checked={view.world === world} onChange={() => store.open(world)} />
      <span>{label}</span>
    </label>
  )
  return (
    <fieldset class="segments">
      <legend class="hidden">What the models run on</legend>
      {option("device", "This device")}
      {option("replay", "4 × H200")}
    </fieldset>
  )
}

export const Header = ({ store, view }: { readonly store: Store; readonly view: View }) => {
  const [theme, show] = useState(currentTheme())
  const running = view.state?.traffic ?? false
  return (
    <header>
      <div class="brand">
        <Logo />
        <h1>glet <span>dev</span></h1>
      </div>
      <Worlds store={store} view={view} />
      <p class="device" title={view.state?.device?.note ?? ""}>
        {view.state?.device?.label ?? "…"}
        {view.state?.device?.note !== undefined && view.state.device.note !== "" && <span>: {view.state.device.note}</span>}
      </p>
      <div class="controls">
        <label>
          <span>Planner</span>
          <select value={view.state?.planner ?? "orion"} onChange={(event) => store.send({ kind: "planner", name: event.currentTarget.value })}>
            {plannerNames.map(([name, what]) => <option key={name} value={name}>{what}</option>)}
          </select>
        </label>
        <button type="button" class="primary" disabled={view.state === undefined} aria-pressed={running} onClick={() => store.send({ kind: "traffic", on: !running })}>
          {running ? "Pause traffic" : "Send traffic"}
        </button>
        <button
          type="button" class="icon" aria-label={`Colours: ${theme}. Change`} title={`Colours: ${theme}`}
          onClick={() => {
            const next = nextTheme[theme]
            setTheme(next)
            show(next)
          }}
        >
          <svg viewBox="0 0 20 20" aria-hidden="true"><circle cx="10" cy="10" r="7" fill="none" stroke="currentColor" stroke-width="1.6" />
            {theme === "light" ? <circle cx="10" cy="10" r="3" fill="currentColor" /> : <path d={theme === "dark" ? "M10 3a7 7 0 1 0 0 14a7 7 0 1 0 0 -14" : "M10 3a7 7 0 0 1 0 14z"} fill="currentColor" />}
          </svg>
        </button>
      </div>
    </header>
  )
}
