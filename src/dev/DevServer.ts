/**
 * The server behind `glet dev`: it hands out files and nothing else. All that is shown is computed in the page.
 *
 * What it serves is the page that the build made, the demo's models, the shipped profiles, and onnxruntime-web as it is installed. Nothing comes
 * from elsewhere, and the page may ask nothing of elsewhere but a server that it joins as an edge node.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import * as path from "node:path"
import { pipeline } from "node:stream/promises"
import type { ServerStartError } from "../server/ServerError.js"
import { startErrorOf } from "../server/ServerError.js"

/** @since 0.1.0 @category options */
export interface DevServerOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Folders by the beginning of the path under which they are served; the longest wins. */
  readonly folders: ReadonlyMap<string, string>
  /** Beginnings of paths under which no file ever changes: browsers keep what is there, and what they compiled of it. */
  readonly frozen: ReadonlyArray<string>
}

/** @since 0.1.0 @category errors */
export class DevServerError extends Schema.TaggedError<DevServerError>()("DevServerError", {
  reason: Schema.Literal("not-built"),
  detail: Schema.String
}) {
  override get message(): string {
    return `the page was not built: ${this.detail}`
  }
}

const types = new Map([
  [".html", "text/html; charset=utf-8"], [".js", "text/javascript; charset=utf-8"], [".mjs", "text/javascript; charset=utf-8"],
  [".css", "text/css; charset=utf-8"], [".json", "application/json"], [".wasm", "application/wasm"], [".onnx", "application/octet-stream"],
  [".svg", "image/svg+xml"], [".map", "application/json"]
])

/**
 * Scripts from here only; WebAssembly may be compiled. Models that were dropped are read from `blob:`. Sockets may go to any server: the page joins
 * one as an edge node when it is told to.
 */
const policy = [
  "default-src 'self'", "script-src 'self' 'wasm-unsafe-eval' blob:", "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:",
  "connect-src 'self' blob: ws: wss:", "worker-src 'self' blob:", "object-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"
].join("; ")

const headers: Readonly<Record<string, string>> = {
  "Content-Security-Policy": policy,
  // Together they let WebAssembly use threads.
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer"
}

/** A URL's path; undefined where it is none. */
const pathOf = (url: string): string | undefined => {
  try {
    const pathname = decodeURIComponent(new URL(url, "http://x").pathname)
    return pathname.includes("\0") || pathname.includes("\\") ? undefined : pathname
  } catch {
    return undefined
  }
}

/** The file of a path; undefined where none may be read. */
const fileOf = (folders: DevServerOptions["folders"], pathname: string): string | undefined => {
  const prefix = [...folders.keys()].filter((one) => pathname.startsWith(one)).sort((a, b) => b.length - a.length)[0]
  if (prefix === undefined) return undefined
  const folder = folders.get(prefix)!
  const file = path.resolve(folder, `./${pathname.slice(prefix.length) || "index.html"}`)
  return types.has(path.extname(file)) && file.startsWith(path.resolve(folder) + path.sep) ? file : undefined
}

const end = (res: ServerResponse, status: number, text: string): void => {
  res.writeHead(status, { ...headers, "Content-Type": "text/plain; charset=utf-8" }).end(text)
}

const answer = async (options: DevServerOptions, req: IncomingMessage, res: ServerResponse): Promise<void> => {
  if (req.method !== "GET" && req.method !== "HEAD") return end(res, 405, "GET and HEAD only\n")
  const pathname = pathOf(req.url ?? "/")
  const file = pathname === undefined ? undefined : fileOf(options.folders, pathname)
  const stat = file === undefined ? undefined : await fs.promises.stat(file).catch(() => undefined)
  if (pathname === undefined || file === undefined || stat === undefined || !stat.isFile()) return end(res, 404, "not found\n")
  const tag = `"${stat.size.toString(36)}-${Math.round(stat.mtimeMs).toString(36)}"`
  const head = {
    ...headers, ETag: tag, "Content-Type": types.get(path.extname(file))!,
    "Cache-Control": options.frozen.some((one) => pathname.startsWith(one)) ? "public, max-age=31536000, immutable" : "no-cache"
  }
  if (req.headers["if-none-match"] === tag) {
    res.writeHead(304, head).end()
    return
  }
  res.writeHead(200, { ...head, "Content-Length": stat.size })
  if (req.method === "HEAD") res.end()
  else await pipeline(fs.createReadStream(file), res)
}

/** Starts it; closing the scope ends it. Answers its address. @since 0.1.0 @category constructors */
export const make = (options: DevServerOptions): Effect.Effect<{ readonly url: string; readonly port: number }, DevServerError | ServerStartError, Scope.Scope> =>
  Effect.gen(function*() {
    const page = options.folders.get("/")
    if (page === undefined || !fs.existsSync(path.join(page, "index.html"))) {
      return yield* new DevServerError({ reason: "not-built", detail: `${page ?? "no folder"} has no index.html; npm run build makes it` })
    }
    const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000, maxHeaderSize: 16 * 1024 }, (req, res) => {
      answer(options, req, res).catch(() => res.destroy())
    })
    server.maxConnections = 256
    const address = yield* Effect.acquireRelease(
      Effect.async<AddressInfo, ServerStartError>((resume) => {
        server.once("error", (error) => resume(Effect.fail(startErrorOf(options, error))))
        server.listen(options.port, options.host, () => resume(Effect.sync(() => server.address() as AddressInfo)))
      }),
      () => Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
    )
    const host = address.family === "IPv6" ? `[${address.address}]` : address.address
    return { url: `http://${host}:${address.port}/`, port: address.port }
  })
