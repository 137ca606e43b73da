/** The folder of the sockets between an agent and its fronts. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"

/** The socket on which an agent answers its fronts. */
export const agentSocket = (folder: string): string => path.join(folder, "agent.sock")

const prefix = "glet-fronts-"
/** Folders that are looked at, and how long an agent may take to accept. */
const mostLookedAt = 64
const acceptMs = 200

/** Whether nobody listens there any more. An agent that is about to listen has no socket yet, and its folder stays. */
const isAbandoned = (folder: string): Effect.Effect<boolean> =>
  Effect.async<boolean>((resume) => {
    const socket = net.connect(agentSocket(folder))
    const answer = (isGone: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resume(Effect.succeed(isGone))
    }
    const timer = setTimeout(() => answer(false), acceptMs)
    socket.once("connect", () => answer(false))
    socket.once("error", (cause: NodeJS.ErrnoException) => answer(cause.code === "ECONNREFUSED"))
  })

/** Removes what agents left behind that were killed: they could not do so themselves. */
const sweep = (directory: string): Effect.Effect<void> =>
  Effect.gen(function*() {
    const owner = process.getuid?.()
    const names = yield* Effect.try(() => fs.readdirSync(directory)).pipe(Effect.orElseSucceed(() => []))
    for (const name of names.filter((each) => each.startsWith(prefix)).slice(0, mostLookedAt)) {
      const folder = path.join(directory, name)
      const isOurs = yield* Effect.try(() => {
        const stat = fs.lstatSync(folder)
        return stat.isDirectory() && (owner === undefined || stat.uid === owner)
      }).pipe(Effect.orElseSucceed(() => false))
      if (isOurs && (yield* isAbandoned(folder))) yield* Effect.ignore(Effect.try(() => fs.rmSync(folder, { recursive: true, force: true })))
    }
  })

/** A new folder that only this user may enter, removed with the scope. */
export const socketFolder = (directory: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.andThen(
    sweep(directory),
    Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(directory, prefix))),
      (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
    )
  )
