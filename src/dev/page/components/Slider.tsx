/** A range with its value in words. Logarithmic where asked; else squares of a line, for rates that reach from a few to thousands. */
import { useState } from "preact/hooks"

const steps = 240

/** Two digits are enough for people. */
const rounded = (value: number): number => {
  if (value < 1) return Math.round(value * 10) / 10
  const step = 10 ** (Math.floor(Math.log10(value)) - 1)
  return Number((Math.round(value / step) * step).toPrecision(3))
}

export const Slider = ({ label, least, log = false, most, name, onDone, onMove, shown, value }: {
  readonly label: string
  /** For screen readers. */
  readonly name: string
  readonly value: number
  readonly least: number
  readonly most: number
  readonly log?: boolean
  readonly shown: (value: number) => string
  readonly onMove: (value: number) => void
  readonly onDone: (value: number) => void
}) => {
  const toStep = (of: number): number =>
    Math.round(steps * (log ? Math.log(Math.max(of, least) / least) / Math.log(most / least) : Math.sqrt(Math.max(0, of - least) / (most - least))))
  const toValue = (step: number): number =>
    rounded(log ? least * (most / least) ** (step / steps) : least + (most - least) * (step / steps) ** 2)
  // The handle stays where it was put: rounding must not move it.
  const [held, setHeld] = useState<{ readonly step: number; readonly value: number } | undefined>(undefined)
  const step = held !== undefined && held.value === value ? held.step : toStep(value)
  const moved = (event: { readonly currentTarget: HTMLInputElement }): number => {
    const at = Number(event.currentTarget.value)
    const next = toValue(at)
    setHeld({ step: at, value: next })
    return next
  }
  return (
    <label class="slider">
      <span>{label}</span>
      <input
        type="range" min={0} max={steps} value={step} aria-label={name} aria-valuetext={shown(value)} style={{ "--at": `${(100 * step) / steps}%` }}
        onInput={(event) => onMove(moved(event))} onChange={(event) => onDone(moved(event))}
      />
      <output>{shown(value)}</output>
    </label>
  )
}
