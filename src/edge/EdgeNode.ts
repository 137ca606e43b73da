/**
 * The node's side: takes what a server asks and does it on an executor of its own. Runs wherever that executor runs; in a page it lives as long as
 * its tab.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import type { GletHandle } from "../core/Executor.js"
import { Executor } from "../core/Executor.js"
import type { Gpu } from "../core/Gpu.js"
import { unsafeGletId, unsafeModelName } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import type { SlotLayout } from "../core/SlotLayout.js"
import { makeSlotLayout } from "../core/SlotLayout.js"
import type { FromNode, ToNode } from "./EdgeProtocol.js"
import { closeCodes, decodeToNode, encodeFrame, maxFrameBytes, maxModelBytes } from "./EdgeProtocol.js"
import type { EdgeSocket } from "./EdgeSocket.js"

/** @since 0.1.0 @category options */
export interface EdgeNodeOptions {
  readonly socket: EdgeSocket
  /** Lower case letters, digits and dashes. */
  readonly name: string
  readonly gpu: Gpu
  /** For people. */
  readonly device: string
  /** Keeps a model's file and answers the `path` under which the executor reads it; `release` forgets it. */
  readonly keep: (bytes: Uint8Array) => { readonly path: string; readonly release: () => void }
  readonly onStatus?: (status: EdgeNodeStatus) => void
}

/** @since 0.1.0 @category status */
export interface EdgeNodeStatus {
  readonly joined: boolean
  readonly glets: number
  readonly batches: number
}

/** How it ended. @since 0.1.0 @category status */
export interface EdgeNodeEnd {
  readonly code: number
  readonly reason: string
  /** Whether the server had taken it in. */
  readonly joined: boolean
}

/** Batches that a server may have outstanding here; their memory is bounded by the arena. */
const mostRuns = 512
const mostGlets = 64
const mostModels = 64

interface OpenGlet {
  readonly handle: GletHandle
  readonly scope: Scope.CloseableScope
}

interface HeldModel {
  readonly totalBytes: number
  /** Until it is whole. */
  bytes: Uint8Array | undefined
  receivedBytes: number
  kept: { readonly path: string; readonly release: () => void } | undefined
}

interface LoadedModel {
  readonly model: Model
  readonly layout: SlotLayout
}

const textOf = (error: { readonly message: string }): string => error.message.slice(0, 2000)

/**
 * Joins with a socket that is open, and completes when the connection has ended and all glets are closed.
 * @since 0.1.0
 * @category constructors
 */
export const run = (options: EdgeNodeOptions): Effect.Effect<EdgeNodeEnd, never, Executor> =>
  Effect.gen(function*() {
    const executor = yield* Executor
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const { gpu, socket } = options
    const glets = new Map<string, OpenGlet>()
    const models = new Map<number, HeldModel>()
    const loaded = new Map<number, LoadedModel>()
    let heldBytes = 0
    let running = 0
    let batches = 0
    let joined = false
    let ended = false
    let told = 0

    const send = (header: FromNode, payload?: ReadonlyArray<Uint8Array>): void => {
      if (!ended) socket.send(encodeFrame(header, payload))
    }
    const failed = (id: number, reason: string, detail: string): void => send({ t: "failed", id, reason, detail })
    const done = (id: number, loadMs = 0, memoryBytes = 0, detail = ""): void => send({ t: "done", id, loadMs, memoryBytes, detail: detail.slice(0, 2000) })
    const status = (): void => options.onStatus?.({ joined: joined && !ended, glets: glets.size, batches })
    const refuse = (why: string): void => socket.close(closeCodes.badFrame, why)

    const open = ({ glet, id, priority, sharePct }: Extract<ToNode, { t: "open" }>) =>
      Effect.gen(function*() {
        if (glets.has(glet) || glets.size >= mostGlets) return failed(id, "spawn-failed", `${glets.size} glets are open, ${glet} ${glets.has(glet) ? "is one of them" : "would be one too many"}`)
        const scope = yield* Scope.make()
        const opened = yield* Effect.either(Scope.extend(executor.open({ id: unsafeGletId(glet), gpu, sharePct, priority }), scope))
        if (Either.isLeft(opened)) return failed(id, opened.left.reason, textOf(opened.left))
        if (ended) return yield* Scope.close(scope, Exit.void)
        glets.set(glet, { handle: opened.right, scope })
        runFork(Effect.map(opened.right.exited, ({ message }) => {
          if (!glets.delete(glet)) return
          send({ t: "exited", glet, detail: message.slice(0, 2000) })
          status()
        }))
        done(id)
        status()
      })
    const close = (glet: string): Effect.Effect<void> =>
      Effect.suspend(() => {
        const found = glets.get(glet)
        glets.delete(glet)
        status()
        return found === undefined ? Effect.void : Scope.close(found.scope, Exit.void)
      })

    const take = ({ model, offset, totalBytes }: Extract<ToNode, { t: "model" }>, payload: Uint8Array): void => {
      let held = models.get(model)
      if (held === undefined) {
        if (models.size >= mostModels || heldBytes + totalBytes > maxModelBytes) return refuse(`no room for a model of ${totalBytes} bytes beside ${models.size} others`)
        heldBytes += totalBytes
        models.set(model, held = { totalBytes, bytes: new Uint8Array(totalBytes), receivedBytes: 0, kept: undefined })
      }
      if (held.bytes === undefined || offset !== held.receivedBytes || totalBytes !== held.totalBytes || offset + payload.length > totalBytes) return refuse("a piece of a model out of order")
      held.bytes.set(payload, offset)
      held.receivedBytes += payload.length
      if (held.receivedBytes < totalBytes) return
      held.kept = options.keep(held.bytes)
      held.bytes = undefined
    }
    const forget = (model: number): void => {
      const held = models.get(model)
      if (held === undefined) return
      heldBytes -= held.totalBytes
      held.kept?.release()
      models.delete(model)
      loaded.delete(model)
    }

    const load = (asked: Extract<ToNode, { t: "load" }>) =>
      Effect.gen(function*() {
        const { glet, id } = asked
        const found = glets.get(glet)
        const path = models.get(asked.model)?.kept?.path
        if (found === undefined) return failed(id, "exited", `glet ${glet} is not open`)
        if (path === undefined) return failed(id, "unreadable", "its file was not sent")
        const known = loaded.get(asked.model)
        const model: Model = known?.model ?? {
          name: unsafeModelName(asked.name), version: asked.model + 1, path, signature: asked.signature, maxBatch: asked.maxBatch,
          serviceClass: "best-effort", expectedRateRps: 0, weightBytes: models.get(asked.model)!.totalBytes
        }
        if (known === undefined) loaded.set(asked.model, { model, layout: makeSlotLayout(model.signature) })
        const report = yield* Effect.either(found.handle.load(model, asked.warm))
        if (Either.isLeft(report)) return failed(id, report.left._tag === "GletExited" ? "exited" : report.left.reason, textOf(report.left))
        done(id, report.right.loadMs, report.right.memoryBytes, report.right.detail)
      })
    const unload = ({ glet, id, model }: Extract<ToNode, { t: "unload" }>) =>
      Effect.gen(function*() {
        const found = glets.get(glet)
        const known = loaded.get(model)
        if (found !== undefined && known !== undefined) yield* found.handle.unload(known.model)
        done(id)
      })

    const start = ({ bindings, glet, id, items, model }: Extract<ToNode, { t: "run" }>, payload: Uint8Array): void => {
      const fail = (detail: string, cause: Extract<FromNode, { readonly t: "run-failed" }>["cause"] = "failed"): void =>
        send({ t: "run-failed", id, cause, detail: detail.slice(0, 2000) })
      const found = glets.get(glet)
      const known = loaded.get(model)
      if (found === undefined) return fail(`glet ${glet} is not open here`, "not-open")
      if (known === undefined) return fail("the model is not loaded here")
      const { layout } = known
      if (running >= mostRuns) return fail(`${running} batches run already`)
      if (bindings.length !== layout.inputSymbols.length) return fail("other bindings than the model has")
      const placement = layout.placement(items, bindings)
      const inputBytes = placement.inputBytes.reduce((sum, bytes) => sum + bytes, 0)
      if (payload.length !== inputBytes) return fail(`${payload.length} bytes of inputs; ${inputBytes} are needed`)
      const slot = executor.arena.allocate(placement.totalBytes)
      if (slot === undefined) return fail(`no memory for a batch of ${placement.totalBytes} bytes`)
      if (bindings.length > 0) new Int32Array(slot.bytes.buffer, slot.bytes.byteOffset, bindings.length).set(bindings)
      let at = 0
      placement.inputBytes.forEach((bytes, i) => {
        slot.bytes.set(payload.subarray(at, at + bytes), placement.inputOffsets[i]!)
        at += bytes
      })
      running += 1
      found.handle.start({ model: known.model, items, entries: [{ slot, items, bindings }] }, (end) => {
        running -= 1
        if (!end.ok) {
          if (end.error._tag === "GletExited") fail(end.error.message, end.unstarted === true ? "not-open" : "exited")
          else fail(end.error.detail)
        } else {
          const outputs = placement.outputBytes.flatMap((bytes, i) => (bytes === 0 ? [] : [slot.bytes.subarray(placement.outputOffsets[i]!, placement.outputOffsets[i]! + bytes)]))
          const overflow = end.overflow?.[0] ?? []
          send({
            t: "ran", id, inferMs: end.inputMs + end.inferMs + end.outputMs, outputBindings: [...(end.outputBindings?.[0] ?? [])],
            overflowBytes: overflow.map((part) => part?.length ?? -1)
          }, [...outputs, ...overflow.filter((part) => part !== undefined)])
          batches += 1
          // Whoever looks sees it a few times a second.
          if (performance.now() - told > 250) {
            told = performance.now()
            status()
          }
        }
        slot.release()
      })
    }

    const receive = (frame: Uint8Array): void => {
      const decoded = decodeToNode(frame, maxFrameBytes)
      if (Either.isLeft(decoded)) return refuse(decoded.left)
      const { header, payload } = decoded.right
      switch (header.t) {
        case "welcome":
          joined = true
          return status()
        case "ping":
          return send({ t: "pong", id: header.id })
        case "open":
          return void runFork(open(header))
        case "close":
          return void runFork(Effect.zipRight(close(header.glet), Effect.sync(() => done(header.id))))
        case "model":
          return take(header, payload)
        case "forget":
          return forget(header.model)
        case "load":
          return void runFork(load(header))
        case "unload":
          return void runFork(unload(header))
        case "run":
          return start(header, payload)
      }
    }

    const end = yield* Effect.async<EdgeNodeEnd>((resume) => {
      socket.listen(receive, (code, reason) => {
        ended = true
        resume(Effect.succeed({ code, reason, joined }))
      })
      send({
        t: "hello", name: options.name, device: options.device.slice(0, 200), memoryBytes: gpu.memoryBytes,
        sharesPct: gpu.sharesPct
      })
      return Effect.sync(() => {
        ended = true
        socket.close(1000, "the node leaves")
      })
    }).pipe(Effect.ensuring(Effect.suspend(() => {
      ended = true
      for (const model of [...models.keys()]) forget(model)
      return Effect.forEach([...glets.keys()], close, { concurrency: "unbounded", discard: true })
    })))
    status()
    return end
  })

