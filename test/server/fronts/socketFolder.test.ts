import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import { agentSocket, socketFolder } from "../../../src/server/fronts/socketFolder.js"
import { folderOf } from "../repository/folder.js"

const listening = (file: string) =>
  Effect.acquireRelease(
    Effect.async<net.Server>((resume) => {
      const server = net.createServer((socket) => socket.destroy())
      server.listen(file, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
  )

/** A socket whose process was killed. */
const abandon = (file: string): void => {
  const script = "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))"
  spawnSync(process.execPath, ["-e", script, file])
}

describe("socketFolder", () => {
  it.scoped("removes the folders of agents that were killed, and no others", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({ "glet-fronts-empty/other": "", "glet-abandoned/other": "", "glet-fronts-file": "" })
      const folders = ["glet-fronts-killed", "glet-fronts-alive", "glet-elsewhere"].map((name) => path.join(directory, name))
      for (const folder of folders) fs.mkdirSync(folder)
      const [killed, alive, elsewhere] = folders as [string, string, string]
      abandon(agentSocket(killed))
      abandon(agentSocket(elsewhere))
      assert.isTrue(fs.existsSync(agentSocket(killed)))
      yield* listening(agentSocket(alive))
      const made = yield* Effect.scoped(Effect.tap(socketFolder(directory), (folder) => Effect.sync(() => assert.strictEqual(fs.statSync(folder).mode & 0o777, 0o700))))
      assert.deepStrictEqual(
        fs.readdirSync(directory).sort(),
        ["glet-abandoned", "glet-elsewhere", "glet-fronts-alive", "glet-fronts-empty", "glet-fronts-file"]
      )
      assert.isFalse(fs.existsSync(made))
    }))
})
