/** A headless Chromium and a server of files for its page. */
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Browser, Page } from "playwright-core"

const root = fileURLToPath(new URL("../../..", import.meta.url))
export const ortFolder = path.join(root, "node_modules/onnxruntime-web/dist")

const candidates = [process.env["CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
/** The browser's file; undefined where there is none. */
export const chromiumPath = (): string | undefined => candidates.find((file) => file !== undefined && fs.existsSync(file))

const types = new Map([[".js", "text/javascript"], [".mjs", "text/javascript"], [".wasm", "application/wasm"], [".json", "application/json"], [".html", "text/html"]])

/** What a page gets: text, or the file of that name. */
export type Files = ReadonlyMap<string, { readonly text: string } | { readonly file: string }>

/** Serves the files, and onnxruntime-web under /ort/. */
const serve = async (files: Files, headers: Readonly<Record<string, string>>): Promise<http.Server> => {
  const server = http.createServer((request, response) => {
    const name = new URL(request.url!, "http://localhost").pathname
    const found = files.get(name) ?? (/^\/ort\/[\w.-]+$/.test(name) ? { file: path.join(ortFolder, name.slice(5)) } : undefined)
    if (found === undefined || ("file" in found && !fs.existsSync(found.file))) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { "content-type": types.get(path.extname("file" in found ? found.file : name)) ?? "application/octet-stream", ...headers })
    if ("text" in found) response.end(found.text)
    else fs.createReadStream(found.file).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return server
}

/** A page with the module /test.js loaded, and what ends browser and server. */
export interface OpenPage {
  readonly browser: Browser
  readonly page: Page
  readonly url: string
  readonly close: () => Promise<void>
}

/** Opens a page. `webgpu` false: a browser without an adapter. */
export const openPage = async (
  files: Files,
  options: { readonly webgpu?: boolean; readonly headers?: Readonly<Record<string, string>> } = {}
): Promise<OpenPage> => {
  const { chromium } = await import("playwright-core")
  const html = "<!doctype html><title>glet</title><link rel=icon href=data:,><script type=module src=/test.js></script>"
  const server = await serve(new Map([["/", { text: html }], ["/index.html", { text: html }], ...files]), options.headers ?? {})
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/index.html`
  let browser: Browser | undefined
  const close = async () => {
    await browser?.close()
    server.closeAllConnections()
    server.close()
  }
  try {
    browser = await chromium.launch({
      executablePath: chromiumPath()!, headless: true,
      args: [
        "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--no-first-run",
        ...(options.webgpu === false ? [] : ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"])
      ]
    })
    const page = await browser.newPage()
    if (process.env["GLET_TEST_CONSOLE"] !== undefined) page.on("console", (message) => console.log(`page: ${message.text()}`))
    page.on("pageerror", (error) => console.log(`page: ${error.message}`))
    await page.goto(url)
    return { browser, page, url, close }
  } catch (error) {
    await close()
    throw error
  }
}
