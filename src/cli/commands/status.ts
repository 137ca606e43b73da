import * as Effect from "effect/Effect"
import { counted } from "../../core/internal/counted.js"
import { latenessOf } from "../../core/HostStatus.js"
import type { SchedulerStatus as Status } from "../../scheduler/SchedulerStatus.js"
import { SchedulerStatus } from "../../scheduler/SchedulerStatus.js"
import type { CliError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { callServer, targetOf, urlOf } from "../internal/serverClient.js"
import { animates, bold, colourOut, ms, out, percent, rps, table } from "../internal/terminal.js"
import type { status } from "../specs/status.js"

/** Nothing counted yet shows as such. */
const measured = (valueMs: number): string => (valueMs === 0 ? "-" : ms(valueMs))

const glets = (value: Status, colour: boolean): string => {
  const rows = value.glets.flatMap((glet) => {
    const head = [glet.id, `${glet.sharePct} %`, glet.units === undefined ? "-" : String(glet.units), glet.state, percent(glet.busyRatio)]
    const works = glet.assignments.map((work) => [
      work.model, String(work.batch), work.measured.count === 0 ? "-" : work.meanBatch.toFixed(1), ms(work.predictedMs), measured(work.measured.p50Ms), measured(work.measured.p99Ms), String(work.measured.count)
    ])
    return works.length === 0 ? [[...head, "-"]] : works.map((work, i) => [...(i === 0 ? head : head.map(() => "")), ...work])
  })
  const details = value.glets.flatMap(({ detail, id, restarts }) => detail === "" ? [] : [`${id}: ${restarts > 0 ? `${counted(restarts, "restart")}: ` : ""}${detail}`])
  // Below the table: a sentence in a cell would make its column as wide.
  return [table(["glet", "share", "units", "state", "busy", "model", "batch", "mean", "predicted ms", "p50 ms", "p99 ms", "batches"], rows, { align: "lrrlrlrrrrrr", colour }), ...details].join("\n")
}

/** The rate, and how many items come together where that is more than one. */
const arriving = ({ itemsPerRequest = 1, rateRps }: Status["models"][number]): string =>
  Math.round(itemsPerRequest) > 1 ? `${rps(rateRps)}, ${Math.round(itemsPerRequest)} at once` : rps(rateRps)

const models = (value: Status, colour: boolean): string => {
  const rows = value.models.map((model) => {
    const dropped = model.dropped.reduce((sum, drop) => sum + drop.count, 0)
    const ended = model.answered + dropped + model.failed
    return [
      model.model, model.state, model.sloMs === undefined ? "-" : ms(model.sloMs), arriving(model), rps(model.plannedRps), String(model.queued),
      String(model.answered), model.sloMs === undefined || ended === 0 ? "-" : percent(model.withinSlo / ended), measured(model.latency.p50Ms), measured(model.latency.p99Ms),
      dropped === 0 ? "-" : model.dropped.filter((drop) => drop.count > 0).map((drop) => `${drop.count} ${drop.reason}`).join(", "), String(model.failed)
    ]
  })
  return table(
    ["model", "state", "SLO ms", "req/s", "planned", "queued", "answered", "SLO kept", "p50 ms", "p99 ms", "dropped", "failed"],
    rows, { align: "llrrrrrrrrlr", colour }
  )
}

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)

/** A line per node, and what became of those that are gone. */
const edgeNodes = (edge: NonNullable<Status["edge"]>, colour: boolean): ReadonlyArray<string> => {
  const rows = edge.nodes.map(({ batches, device, glets, inFlight, name, received, sent, silentMs }) => [
    name, device, String(glets), String(batches), String(inFlight), String(sent.frames), mebibytes(sent.bytes), String(received.frames), mebibytes(received.bytes), `${(silentMs / 1000).toFixed(1)} s ago`
  ])
  const lost = edge.losses.reduce((sum, { count }) => sum + count, 0)
  const why = lost === 0 ? "" : ` (${edge.losses.map(({ count, reason }) => `${count} ${reason}`).join(", ")})`
  const last = edge.lastLoss === undefined ? "" : `; last ${edge.lastLoss.node}, ${Math.round(edge.lastLoss.agoMs / 1000)} s ago: ${edge.lastLoss.detail}`
  return [
    "",
    ...(rows.length === 0 ? [] : [table(["edge node", "device", "glets", "batches", "in flight", "frames out", "MiB", "frames in", "MiB", "heard"], rows, { align: "llrrrrrrrr", colour })]),
    `edge nodes: ${edge.nodes.length} now, ${edge.joined} joined, ${lost} lost${why}${last}`
  ]
}

/** The whole status as text. */
export const renderStatus = (value: Status, server: string, colour: boolean): string => [
  `${bold(server, colour)}  plan ${value.plan.generation} by ${value.plan.planner}, executor ${value.executor}${value.draining ? ", draining" : ""}`,
  "",
  glets(value, colour),
  "",
  models(value, colour),
  ...(value.edge === undefined ? [] : edgeNodes(value.edge, colour)),
  ...[value.host].flatMap((host) => (host === undefined ? [] : latenessOf(host) ?? [])),
  ...value.plan.shortfalls.map((short) => `short: ${short.model}: ${rps(short.plannedRps)} of ${rps(short.askedRps)} req/s planned: ${short.reason}`),
  ...value.models.filter((model) => model.detail !== "").map((model) => `${model.model}: ${model.detail}`)
].join("\n")

/** `glet status` */
export const handle = (args: ParsedArgs<typeof status>): Effect.Effect<void, CliError> =>
  Effect.gen(function*() {
    const target = yield* targetOf(args.server)
    const look = callServer(target, "glet/v1alpha1/status", SchedulerStatus).pipe(
      Effect.map((value) => {
        if (args.json) return out(JSON.stringify(value))
        const clear = args.watch && animates() && process.stdout.isTTY ? "\u001b[H\u001b[2J" : ""
        out(`${clear}${renderStatus(value, urlOf(target), colourOut())}${args.watch ? "\n" : ""}`)
      })
    )
    yield* look
    while (args.watch) {
      yield* Effect.sleep(args.interval * 1000)
      yield* look
    }
  })
