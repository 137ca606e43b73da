import type { Store, View } from "../store.js"
import { percent } from "../words.js"

/** What each planner would make of the models and rates as they are: simulated, in a worker of its own. */
export const Compare = ({ store, view }: { readonly store: Store; readonly view: View }) => {
  const best = Math.max(1e-9, ...view.compared.map(({ peakFactor }) => peakFactor))
  const isReady = view.state?.models.some(({ state }) => state === "ready") ?? false
  return (
    <section class="compare" aria-labelledby="compare-title">
      <div class="head">
        <h2 id="compare-title">Planners compared</h2>
        <button type="button" disabled={!isReady || view.comparing !== undefined} onClick={() => store.send({ kind: "compare" })}>
          {view.comparing === undefined ? "Simulate all" : `${view.comparing.done} of ${view.comparing.total}…`}
        </button>
      </div>
      {view.compared.length === 0
        ? <p class="detail">Simulates each planner with the models, SLOs and rates above: how many requests keep their SLO, and how far the load could grow until one in a hundred does not.</p>
        : (
          <table aria-busy={view.comparing !== undefined}>
            <thead><tr><th scope="col">planner</th><th scope="col">glets</th><th scope="col">kept</th><th scope="col">carries up to</th></tr></thead>
            <tbody>
              {view.compared.map(({ glets, gpus, peakFactor, planner, problem, sloKept }) => (
                <tr key={planner} class={planner === view.state?.planner ? "current" : ""}>
                  <th scope="row">{planner}</th>
                  {problem !== ""
                    ? <td colSpan={3} class="bad" title={problem}>no plan</td>
                    : (
                      <>
                        <td>{glets} on {gpus}</td>
                        <td class={sloKept >= 0.99 ? "good" : "bad"}>{percent(sloKept)}</td>
                        <td><span class="meter"><i style={{ width: `${(100 * peakFactor) / best}%` }} aria-hidden="true" /></span>{peakFactor === 0 ? "less" : `${peakFactor.toFixed(2)} ×`}</td>
                      </>
                    )}
                </tr>
              ))}
            </tbody>
          </table>
        )}
    </section>
  )
}
