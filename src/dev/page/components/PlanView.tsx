import type { Plan, PlannedGlet, PlannedGpu, Shortfall } from "../../../core/Plan.js"
import type { View } from "../store.js"
import { ms, rate } from "../words.js"
import { hueStyle } from "./colours.js"

interface Work {
  readonly model: string
  readonly batch: number
  readonly busy: number
  readonly isBestEffort: boolean
  readonly words: string
}

const worksOf = ({ assignments, bestEffort, dutyMs }: PlannedGlet): ReadonlyArray<Work> => [
  ...assignments.map(({ batch, capacityRps, latencyMs, model, rateRps, slackMs, worstMs }): Work => ({
    model, batch, isBestEffort: false, busy: dutyMs > 0 ? Math.min(1, latencyMs / dutyMs) : 0,
    words: `${model} in batches of ${batch}: ${rate(rateRps)} of ${rate(capacityRps)}, ${ms(latencyMs)} a batch, at worst ${ms(worstMs)} of ${ms(worstMs + slackMs)}`
  })),
  ...bestEffort.map(({ batch, blockingMs, model }): Work => ({
    model, batch, isBestEffort: true, busy: 0, words: `${model}, best effort in batches of up to ${batch}: ${ms(blockingMs)} a batch`
  }))
]

const Glet = ({ busy, glet, names, state }: {
  readonly glet: PlannedGlet; readonly names: ReadonlyArray<string>; readonly state: string | undefined; readonly busy: number | undefined
}) => {
  const works = worksOf(glet)
  return (
    <li
      class={`glet ${state !== undefined && state !== "ready" ? "unready" : ""}`} style={{ flexGrow: glet.sharePct }}
      title={`${glet.id}: ${glet.sharePct} % of the GPU, a cycle of ${ms(glet.dutyMs)}${busy === undefined ? "" : `, busy ${Math.round(busy * 100)} % of the time`}\n${works.map(({ words }) => words).join("\n")}`}
    >
      <p class="share"><b>{glet.sharePct} %</b>{glet.assignments.length > 0 && <span> {ms(glet.dutyMs)}</span>}</p>
      <ul>
        {works.map((work) => (
          <li key={work.model} class={work.isBestEffort ? "work effort" : "work"} style={hueStyle(names, work.model)}>
            <i style={{ width: `${work.busy * 100}%` }} aria-hidden="true" />
            <span aria-hidden="true">{work.model} <small>×{work.batch}</small></span>
            <span class="hidden">{work.words}</span>
          </li>
        ))}
      </ul>
      {busy !== undefined && <div class="busy" aria-hidden="true"><i style={{ width: `${Math.min(100, busy * 100)}%` }} /></div>}
    </li>
  )
}

const Gpu = ({ gpu, names, view }: { readonly gpu: PlannedGpu; readonly names: ReadonlyArray<string>; readonly view: View }) => {
  const free = 100 - gpu.glets.reduce((sum, { sharePct }) => sum + sharePct, 0)
  const isPreview = view.state?.preview !== undefined
  return (
    <li class="gpu">
      <h3>{gpu.gpu}</h3>
      <ul class="bar" aria-label={`Glets of ${gpu.gpu}`}>
        {gpu.glets.map((glet) => {
          const live = isPreview ? undefined : view.state?.glets.find(({ id }) => id === glet.id)
          return <Glet key={glet.id} glet={glet} names={names} state={live?.state} busy={live?.busyRatio} />
        })}
        {free > 0 && <li class="free" style={{ flexGrow: free }}>{gpu.glets.length === 0 ? "free" : free >= 6 ? `${free} %` : ""}<span class="hidden">{free} % of {gpu.gpu} is free</span></li>}
      </ul>
    </li>
  )
}

const nothing: Plan["gpus"] = []

/** Many models may lack the same. */
const byReason = (shortfalls: ReadonlyArray<Shortfall>): ReadonlyArray<readonly [reason: string, ReadonlyArray<Shortfall>]> =>
  [...new Set(shortfalls.map(({ reason }) => reason))].map((reason) => [reason, shortfalls.filter((one) => one.reason === reason)])

/** The glets of every GPU side by side; while a slider moves, those of the plan that would follow. */
export const PlanView = ({ names, view }: { readonly view: View; readonly names: ReadonlyArray<string> }) => {
  const preview = view.state?.preview
  const plan = preview ?? view.state?.plan
  const gpus = plan?.gpus ?? nothing
  return (
    <section id="plan" class={`plan ${preview === undefined ? "" : "preview"}`} aria-labelledby="plan-title">
      <div class="head">
        <h2 id="plan-title">Plan</h2>
        {preview !== undefined && <span class="tag">preview</span>}
        <p class="reason">{preview !== undefined ? "what the sliders ask for" : view.state?.planReason ?? ""}</p>
        {plan?.headroom !== undefined && Number.isFinite(plan.headroom) && plan.headroom > 0 && plan.shortfalls.length === 0 && <p class="headroom">room for {plan.headroom.toFixed(2)} × this load</p>}
      </div>
      <ul class="gpus">
        {gpus.length === 0 && <li class="gpu"><h3>…</h3><ul class="bar"><li class="free" style={{ flexGrow: 1 }}>no plan yet</li></ul></li>}
        {gpus.map((gpu) => <Gpu key={gpu.gpu} gpu={gpu} names={names} view={view} />)}
      </ul>
      {gpus.length > 0 && (
        <p class="detail legend">
          A glet has a share of its GPU and a duty cycle; a model is filled as far as its batch of ×n takes up the cycle. Dashed: best effort, in what is left. The line below: how busy it is now.
        </p>
      )}
      {plan !== undefined && plan.shortfalls.length > 0 && (
        <ul class="shortfalls">
          {byReason(plan.shortfalls).map(([reason, short]) => (
            <li key={reason}>
              {short.map(({ askedRps, model, plannedRps }, i) => (
                <>{i > 0 && ", "}<b>{model}</b> {plannedRps > 0 ? `${rate(plannedRps)} of ${rate(askedRps)}` : `none of ${rate(askedRps)}`}</>
              ))}: {reason}
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}
