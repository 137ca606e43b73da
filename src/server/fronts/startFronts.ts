/** From the setting to fronts that are up. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as os from "node:os"
import type { TensorArena } from "../../core/TensorArena.js"
import type { Scheduler } from "../../scheduler/Scheduler.js"
import type { InferContext } from "../internal/inferContext.js"
import type { Listener } from "../internal/listener.js"
import type { ModelCatalog } from "../ModelCatalog.js"
import type { ServerConfig } from "../ServerConfig.js"
import { ServerStartError } from "../ServerError.js"
import * as Fronts from "./Fronts.js"
import { agentSocket, socketFolder } from "./socketFolder.js"

/** Of `auto`: below so many cores fronts would only take them from runners and agent. */
const coresPerFront = 4
const mostFronts = 8

/** Fronts that `auto` starts: as cores allow, and so that the largest request fits into the memory of each, with as much for its answer. */
const automatic = (cores: number, capacityBytes: number, maxBodyBytes: number): number =>
  Math.max(0, Math.min(mostFronts, Math.floor(cores / coresPerFront), Math.floor(capacityBytes / (2 * maxBodyBytes)) - 1))

/** Fronts to start, for the setting, the cores there are and the memory to divide. */
export const frontsFor = ({ fronts, maxBodyBytes }: Pick<ServerConfig, "fronts" | "maxBodyBytes">, cores: number, capacityBytes: number): number =>
  fronts === "auto" ? automatic(cores, capacityBytes, maxBodyBytes) : Math.min(fronts, Math.max(1, cores))

/** The same, here; 0 where there is no memory that they could share. */
export const frontCount = (config: ServerConfig, arena: TensorArena): Effect.Effect<number> =>
  Effect.gen(function*() {
    const { fronts } = config
    const cores = os.availableParallelism()
    const count = frontsFor(config, cores, arena.capacityBytes)
    if (count > 0 && arena.shared === undefined) {
      yield* Effect.logWarning("fronts need an executor whose memory processes can share; requests are read by the agent itself")
      return 0
    }
    if (typeof fronts === "number" && count < fronts) yield* Effect.logWarning(`${fronts} fronts were asked for; there are ${cores} cores, so ${count} are started`)
    return count
  })

/** Starts fronts, and makes `listener` answer what they pass on. */
export const startFronts = (
  count: number,
  context: InferContext,
  catalog: typeof ModelCatalog.Service,
  scheduler: typeof Scheduler.Service,
  listener: Listener
): Effect.Effect<Fronts.Fronts, ServerStartError, Scope.Scope> =>
  Effect.gen(function*() {
    const { arena, config, metrics, regions } = context
    const folder = yield* socketFolder(os.tmpdir())
    const agentPath = agentSocket(folder)
    yield* Effect.acquireRelease(
      Effect.async<void, ServerStartError>((resume) => {
        const onError = (cause: Error) =>
          resume(Effect.fail(new ServerStartError({ reason: "failed", host: config.host, port: config.port, detail: cause.message })))
        listener.server.once("error", onError)
        listener.server.listen(agentPath, () => {
          listener.server.off("error", onError)
          resume(Effect.void)
        })
      }),
      () => Effect.sync(() => {
        listener.close()
        listener.server.close()
      })
    )
    return yield* Fronts.make({
      count,
      config,
      arena,
      shared: arena.shared!,
      scheduler,
      catalog,
      metrics,
      folder,
      agentPath,
      regions
    })
  })
