import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as http from "node:http"
import * as os from "node:os"
import * as path from "node:path"
import * as DevServer from "../../src/dev/DevServer.js"

interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** The path goes out as it is: no client tidies it up. */
const ask = (port: number, target: string, options: { readonly method?: string; readonly headers?: http.OutgoingHttpHeaders } = {}) =>
  Effect.async<Answer>((resume) => {
    http.request({ host: "127.0.0.1", port, path: target, ...options }, (response) => {
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => parts.push(part))
      response.on("end", () => resume(Effect.succeed({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts).toString() })))
    }).end()
  })

const withServer = <A, E>(body: (port: number, folder: string) => Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-dev-"))
    yield* Effect.addFinalizer(() => Effect.sync(() => fs.rmSync(folder, { recursive: true })))
    fs.mkdirSync(path.join(folder, "page/assets"), { recursive: true })
    fs.mkdirSync(path.join(folder, "models"))
    fs.writeFileSync(path.join(folder, "page/index.html"), "<!doctype html>page")
    fs.writeFileSync(path.join(folder, "page/assets/main-1.js"), "1")
    fs.writeFileSync(path.join(folder, "page/notes.txt"), "not for anybody")
    fs.writeFileSync(path.join(folder, "models/a b.onnx"), "model")
    fs.writeFileSync(path.join(folder, "secret.json"), "{}")
    const { port } = yield* DevServer.make({ host: "127.0.0.1", port: 0, folders: new Map([["/", path.join(folder, "page")], ["/models/", path.join(folder, "models")]]), frozen: ["/assets/"] })
    return yield* body(port, folder)
  }).pipe(Effect.scoped)

describe("DevServer", () => {
  it.live("serves its folders and nothing above them", () =>
    withServer((port) => Effect.gen(function*() {
      assert.strictEqual((yield* ask(port, "/")).body, "<!doctype html>page")
      assert.strictEqual((yield* ask(port, "/?world=device")).body, "<!doctype html>page")
      assert.strictEqual((yield* ask(port, "/models/a%20b.onnx")).body, "model")
      for (const target of [
        "/../secret.json", "/..%2fsecret.json", "/%2e%2e/secret.json", "/models/../../secret.json", "/models/..%2f..%2fsecret.json", "/models/%5c..%5csecret.json",
        "/notes.txt", "/models/", "/models", "/assets", "/none.js", "/%00.js", "/%", "//127.0.0.1/secret.json"
      ]) assert.strictEqual((yield* ask(port, target)).status, 404, target)
    })))

  it.live("keeps the page to itself and lets WebAssembly have threads", () =>
    withServer((port) => Effect.gen(function*() {
      const { headers } = yield* ask(port, "/")
      assert.match(String(headers["content-security-policy"]), /default-src 'self'; script-src 'self' 'wasm-unsafe-eval'/)
      assert.strictEqual(headers["cross-origin-opener-policy"], "same-origin")
      assert.strictEqual(headers["cross-origin-embedder-policy"], "require-corp")
      assert.strictEqual(headers["x-content-type-options"], "nosniff")
      assert.strictEqual((yield* ask(port, "/", { method: "POST" })).status, 405)
    })))

  it.live("lets browsers keep what has its content's hash in its name, and asks again for the rest", () =>
    withServer((port, folder) => Effect.gen(function*() {
      const page = yield* ask(port, "/")
      assert.strictEqual(page.headers["cache-control"], "no-cache")
      assert.match((yield* ask(port, "/assets/main-1.js")).headers["cache-control"]!, /immutable/)
      const again = { headers: { "If-None-Match": page.headers.etag } }
      assert.strictEqual((yield* ask(port, "/", again)).status, 304)
      fs.writeFileSync(path.join(folder, "page/index.html"), "<!doctype html>another page")
      assert.strictEqual((yield* ask(port, "/", again)).body, "<!doctype html>another page")
      const head = yield* ask(port, "/", { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.body, head.headers["content-length"]], [200, "", "27"])
    })))

  it.live("says what is missing where the page was not built, and why it cannot listen", () =>
    Effect.gen(function*() {
      const none = yield* Effect.flip(Effect.scoped(DevServer.make({ host: "127.0.0.1", port: 0, folders: new Map([["/", "/nowhere"]]), frozen: [] })))
      assert.strictEqual(none.reason, "not-built")
      assert.match(none.message, /npm run build/)
      yield* withServer((port, folder) => Effect.gen(function*() {
        const taken = yield* Effect.flip(Effect.scoped(DevServer.make({ host: "127.0.0.1", port, folders: new Map([["/", path.join(folder, "page")]]), frozen: [] })))
        assert.strictEqual(taken.reason, "port-in-use")
        assert.match(taken.message, new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: another process listens there; .*--port`))
      }))
    }))
})
