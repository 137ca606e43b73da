/** Numbers in words, one way on the whole page. */
import type { Plan } from "../../core/Plan.js"

export const ms = (value: number): string =>
  value >= 1000 ? `${(value / 1000).toFixed(value >= 10_000 ? 0 : 1)} s` : value >= 100 ? `${value.toFixed(0)} ms` : value >= 10 ? `${value.toFixed(1)} ms` : `${value.toFixed(2)} ms`

export const rate = (value: number): string =>
  value >= 10_000 ? `${(value / 1000).toFixed(0)}k/s` : value >= 1000 ? `${(value / 1000).toFixed(1)}k/s` : value >= 10 ? `${value.toFixed(0)}/s` : `${value.toFixed(1)}/s`

export const percent = (ratio: number): string => (ratio >= 1 ? "100 %" : `${(Math.floor(ratio * 1000) / 10).toFixed(1)} %`)

export const plural = (count: number, word: string, many = `${word}s`): string => `${count.toLocaleString("en")} ${count === 1 ? word : many}`

/** Glets of a plan, and GPUs that have any: core's own functions would bring the schema of plans along. */
export const planSize = (plan: Plan): { readonly glets: number; readonly gpus: number } => ({
  glets: plan.gpus.reduce((sum, { glets }) => sum + glets.length, 0), gpus: plan.gpus.filter(({ glets }) => glets.length > 0).length
})
