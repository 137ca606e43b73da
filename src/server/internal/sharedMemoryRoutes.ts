/** The routes of the system shared-memory extension, and what is said of CUDA's. */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import type { ToFront } from "../fronts/protocol.js"
import { RequestRefused } from "../ServerError.js"
import { type Endpoint, endpoint } from "./endpoint.js"
import { json, readObject } from "./responses.js"
import { registerMessage, sharedMemoryIsOff, type SharedRegions } from "./sharedRegions.js"

const notImplemented = (subject: string, detail: string) => new RequestRefused({ reason: "not-implemented", subject, detail })

const pathRegion = Effect.map(HttpRouter.RouteContext, ({ params }) => params["region"] ?? "")

/** Tells whoever reads requests elsewhere of a change. */
export type TellRegions = (message: Extract<ToFront, { readonly type: "register" | "unregister" }>) => Effect.Effect<void>

export const sharedMemoryRoutes = (regions: SharedRegions | undefined, tell: TellRegions): ReadonlyArray<Endpoint> => {
  const system = "/v2/systemsharedmemory"
  const cuda = "/v2/cudasharedmemory"
  const given = regions === undefined ? Effect.fail(notImplemented("system_shared_memory", sharedMemoryIsOff)) : Effect.succeed(regions)
  const status = Effect.map(given, (all) => json(all.status()))
  const unregister = Effect.gen(function*() {
    const all = yield* given
    const name = yield* pathRegion
    yield* readObject
    const removed = all.remove(name === "" ? undefined : name)
    const release = Effect.sync(() => {
      for (const region of removed) region.release()
    })
    // Glets know it until all have heard of it: nobody leaves tensors there any more then.
    yield* Effect.ensuring(tell({ type: "unregister", region: name === "" ? null : name }), release)
    return json({})
  })
  const register = Effect.gen(function*() {
    const all = yield* given
    const region = yield* pathRegion
    const body = yield* readObject
    const problem = all.register(region, body)
    if (problem !== undefined) return yield* problem
    yield* tell(registerMessage(all.find(region)!))
    return json({})
  })
  const unknownRegion = new RequestRefused({ reason: "route-not-found", subject: "region", detail: "no region of that name is registered" })
  const regionStatus = Effect.gen(function*() {
    const all = yield* given
    const region = all.find(yield* pathRegion)
    return region === undefined ? yield* unknownRegion : json([region.status])
  })
  // Clients that tidy up ask for both kinds: that nothing of CUDA's is registered is no error.
  const noCuda = Effect.as(readObject, json({}))
  const cudaRegister = Effect.fail(notImplemented("cuda_shared_memory", "CUDA's shared memory is not supported; use system shared memory"))
  return [
    endpoint(`${system}/status`, { GET: status }),
    endpoint(`${system}/unregister`, { POST: unregister }),
    endpoint(`${system}/region/:region/status`, { GET: regionStatus }),
    endpoint(`${system}/region/:region/register`, { POST: register }),
    endpoint(`${system}/region/:region/unregister`, { POST: unregister }),
    endpoint(`${cuda}/status`, { GET: Effect.succeed(json([])) }),
    endpoint(`${cuda}/unregister`, { POST: noCuda }),
    endpoint(`${cuda}/region/:region/status`, { GET: Effect.fail(unknownRegion) }),
    endpoint(`${cuda}/region/:region/register`, { POST: cudaRegister }),
    endpoint(`${cuda}/region/:region/unregister`, { POST: noCuda })
  ]
}
