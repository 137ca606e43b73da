import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { startTicksOf } from "../../../src/node-cuda/internal/isAlive.js"
import { releaseLock, takeLock } from "../../../src/node-cuda/internal/lockFile.js"

let folder: string
let racer: string
/** The number of a process that has ended. */
let dead: number

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-lock-"))
  racer = path.join(folder, "racer.mjs")
  await build({
    entryPoints: [fileURLToPath(new URL("../support/lockRacer.ts", import.meta.url))], outfile: racer, bundle: true, platform: "node", format: "esm", logLevel: "error"
  })
  dead = spawnSync(process.execPath, ["-e", ""]).pid
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

let races = 0
/** Lets processes go for the same locks, one after another; answers how many had each of them. */
const race = async (processes: number, rounds: number, left: (file: string) => void): Promise<ReadonlyArray<number>> => {
  const place = path.join(folder, `race${races++}`)
  fs.mkdirSync(place)
  for (let round = 0; round < rounds; round++) left(path.join(place, `lock${round}`))
  const children = Array.from({ length: processes }, (_, index) =>
    spawn(process.execPath, [racer, place, String(rounds), String(processes), String(index)], { stdio: ["pipe", "pipe", "inherit"] }))
  const won = await Promise.all(children.map(async (child) => {
    child.stdout.setEncoding("utf8")
    let text = ""
    for await (const chunk of child.stdout) {
      text += chunk as string
      if (text.endsWith("\n")) break
    }
    return JSON.parse(text) as ReadonlyArray<number>
  }))
  // They live until all have tried all: whoever has a lock is alive.
  await Promise.all(children.map((child) => {
    const gone = once(child, "exit")
    child.stdin.end()
    return gone
  }))
  const owners = new Array<number>(rounds).fill(0)
  for (const round of won.flat()) owners[round]! += 1
  return owners
}

describe("takeLock", () => {
  it("lets one of two processes have each of many locks that dead ones left", async () => {
    const owners = await race(2, 500, (file) => fs.writeFileSync(file, String(dead)))
    assert.deepStrictEqual(owners.filter((count) => count !== 1), [])
  }, 60_000)

  it("lets one of five have each, where a process died removing another's", async () => {
    const owners = await race(5, 30, (file) => {
      fs.writeFileSync(file, `${dead} 1 a`)
      fs.writeFileSync(`${file}.removal`, `${dead} 1 b`)
    })
    assert.deepStrictEqual(owners.filter((count) => count !== 1), [])
  }, 60_000)

  it("lets one of two have each of many that nobody had", async () => {
    const owners = await race(2, 100, () => undefined)
    assert.deepStrictEqual(owners.filter((count) => count !== 1), [])
  }, 60_000)

  it("tells who has it, and leaves nothing behind", () => {
    const file = path.join(folder, "own")
    assert.isUndefined(takeLock(file))
    assert.strictEqual(takeLock(file)?.pid, process.pid)
    releaseLock(file)
    assert.isUndefined(takeLock(file))
    releaseLock(file)
    assert.deepStrictEqual(fs.readdirSync(folder).filter((name) => name.startsWith("own")), [])
  })

  it.skipIf(startTicksOf(process.pid) === 0)("knows a dead owner whose number another process has now", () => {
    const file = path.join(folder, "reused")
    fs.writeFileSync(file, `${process.pid} ${startTicksOf(process.pid) - 1} a`)
    assert.isUndefined(takeLock(file))
    assert.strictEqual(takeLock(file)?.pid, process.pid)
    releaseLock(file)
  })

  it("waits for an owner that has not told its name yet, but not for long", () => {
    const file = path.join(folder, "empty")
    fs.writeFileSync(file, "")
    assert.isNaN(takeLock(file)?.pid)
    const long = new Date(Date.now() - 60_000)
    fs.utimesSync(file, long, long)
    assert.isUndefined(takeLock(file))
    releaseLock(file)
  })
})
