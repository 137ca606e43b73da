import type { Plan } from "../../core/Plan.js"
import { gletsOf } from "../../core/Plan.js"
import { ms, rps, table } from "./terminal.js"

/** A plan for people: a line per glet and model, then what could not be carried. */
export const renderPlan = (plan: Plan, colour: boolean): string => {
  const rows = gletsOf(plan).flatMap(({ glet }) => [
    ...glet.assignments.map((work) => [
      glet.id, `${glet.sharePct} %`, work.model, String(work.batch), rps(work.rateRps), rps(work.capacityRps), ms(work.latencyMs), ms(work.worstMs), ms(work.slackMs)
    ]),
    ...glet.bestEffort.map((work) => [glet.id, `${glet.sharePct} %`, `${work.model} (best effort)`, String(work.batch), "-", "-", ms(work.blockingMs), "-", "-"])
  ])
  // A glet's id and share stand on its first line only.
  const shown = rows.map((row, i) => (i > 0 && rows[i - 1]![0] === row[0] ? ["", "", ...row.slice(2)] : row))
  const lines = rows.length === 0
    ? ["the plan has no glets"]
    : [table(["glet", "share", "model", "batch", "req/s", "carries", "predicted ms", "worst ms", "slack ms"], shown, { align: "lrlrrrrrr", colour })]
  for (const short of plan.shortfalls) {
    lines.push(`short: ${short.model}: ${rps(short.plannedRps)} of ${rps(short.askedRps)} req/s planned: ${short.reason}`)
  }
  return lines.join("\n")
}
