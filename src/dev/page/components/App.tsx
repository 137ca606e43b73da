import { useMemo } from "preact/hooks"
import type { Store, View } from "../store.js"
import { ms, percent, planSize, plural } from "../words.js"
import { Compare } from "./Compare.js"
import { DigitPad } from "./DigitPad.js"
import { Header } from "./Header.js"
import { useView } from "./hooks.js"
import { Join } from "./Join.js"
import { Models } from "./Models.js"
import { PlanView } from "./PlanView.js"
import { Timeline } from "./Timeline.js"

/** The page in one sentence: what a screen reader hears when the plan changes. */
const headline = ({ broken, state }: View): string => {
  if (broken !== "") return `Something broke: ${broken}`
  if (state === undefined) return "Starting the scheduler in this page…"
  const measuring = state.models.find((model) => model.state === "measuring")
  if (state.edge.state !== "off" && state.edge.state !== "failed") return "This device is lent to a server, which plans it."
  const doing = measuring === undefined ? undefined : `measuring ${measuring.name} on ${state.device?.label ?? "this device"}…`
  if (state.plan.generation === 0) return doing === undefined ? "Planning…" : `This page is ${doing}`
  const { glets, gpus } = planSize(state.plan)
  return `${state.plan.planner} serves ${plural(state.models.filter((model) => model.state === "ready").length, "model")} with ${plural(glets, "glet")} on ${
    plural(gpus, "GPU")
  }; ${doing ?? `planned in ${ms(state.planningMs)}.`}`
}

const kept = ({ frame, state }: View): { readonly ratio: number; readonly requests: number } => {
  const critical = (frame?.models ?? []).filter(({ name }) => state?.models.find((model) => model.name === name)?.controls.serviceClass === "latency-critical")
  const requests = critical.reduce((sum, { answered, lost }) => sum + answered + lost, 0)
  return { requests, ratio: requests === 0 ? 1 : critical.reduce((sum, { withinSlo }) => sum + withinSlo, 0) / requests }
}

export const App = ({ store }: { readonly store: Store }) => {
  const view = useView(store)
  const names = useMemo(() => view.state?.models.map(({ name }) => name) ?? [], [view.state?.models.map(({ name }) => name).join("\n")])
  const { ratio, requests } = kept(view)
  return (
    <>
      <a class="skip" href="#plan">Skip to the plan</a>
      <Header store={store} view={view} />
      <main>
        <div class="headline">
          <p role="status" aria-live="polite" class={view.broken === "" ? "" : "bad"}>{headline(view)}</p>
          {requests > 0 && (
            <p class="kept">
              <strong class={ratio >= 0.99 ? "good" : "bad"}>{percent(ratio)}</strong> of the last {requests.toLocaleString("en")} requests kept their SLO
            </p>
          )}
          {view.state?.planProblem !== undefined && view.state.planProblem !== "" && <p role="alert" class="bad">The plan stays as it is: {view.state.planProblem}</p>}
          {view.pausedSince === "alone" && <p>The traffic was paused after five minutes in which nobody was here.</p>}
        </div>
        <Models store={store} view={view} names={names} />
        <div class="stage">
          <PlanView view={view} names={names} />
          <Timeline store={store} view={view} names={names} />
          <div class="pair">
            <DigitPad store={store} view={view} />
            <Compare store={store} view={view} />
          </div>
          <Join store={store} view={view} />
        </div>
      </main>
      <footer>
        <p>Everything on this page runs in it: no request leaves your machine{view.state?.canJoin === true ? ", unless you lend it" : ""}.</p>
      </footer>
    </>
  )
}
