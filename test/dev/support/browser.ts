/** The page as `glet dev` serves it, built from the sources, in a headless Chromium. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { oncePerRun } from "../../support/oncePerRun.js"
import * as DevServer from "../../../src/dev/DevServer.js"
import { runtimePath } from "../../../src/dev/DeviceStart.js"

export const root = fileURLToPath(new URL("../../..", import.meta.url))
const candidates = [process.env["CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]

/** The browser's file; undefined where there is none. */
export const chromiumPath = (): string | undefined => candidates.find((file) => file !== undefined && fs.existsSync(file))

export interface PageServer {
  readonly url: string
  readonly folder: string
  readonly close: () => Promise<void>
}

/** Builds the page, once, and serves it. */
export const servePage = async (): Promise<PageServer> => {
  const folder = await oncePerRun("page", async (outDir) => {
    const { build } = await import("vite")
    await build({ configFile: path.join(root, "src/dev/page/vite.config.ts"), logLevel: "warn", build: { outDir } })
  })
  const scope = Effect.runSync(Scope.make())
  const { url } = await Effect.runPromise(Scope.extend(DevServer.make({
    host: "127.0.0.1",
    port: 0,
    folders: new Map([
      ["/", folder], ["/resource/demo/", path.join(root, "resource/demo")], ["/resource/profiles/", path.join(root, "resource/profiles")],
      [`/${runtimePath("")}`, path.join(root, "node_modules/onnxruntime-web/dist")]
    ]),
    frozen: ["/assets/", `/${runtimePath("")}`]
  }), scope))
  return {
    url,
    folder,
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

/** A browser; everything it says that it should not is in `complaints`. */
export interface OpenBrowser {
  readonly browser: Browser
  readonly open: (address: string, options?: BrowserContextOptions) => Promise<{ readonly page: Page; readonly complaints: Array<string>; readonly asked: Array<string> }>
  readonly closePages: () => Promise<void>
  /** What the browser keeps of files that it read, as when it is short of memory. */
  readonly forgetFiles: (page: Page) => Promise<void>
}

export const openBrowser = async (): Promise<OpenBrowser> => {
  const { chromium } = await import("playwright-core")
  const browser = await chromium.launch({
    executablePath: chromiumPath()!,
    headless: true,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
  })
  return {
    browser,
    closePages: async () => {
      await Promise.all(browser.contexts().map((context) => context.close()))
    },
    forgetFiles: async (page) => {
      const session = await page.context().newCDPSession(page)
      await session.send("Network.clearBrowserCache")
      await session.detach()
    },
    open: async (address, options = {}) => {
      const page = await browser.newPage({ viewport: { width: 1400, height: 1000 }, ...options })
      const complaints: Array<string> = []
      const asked: Array<string> = []
      page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text())
      })
      page.on("pageerror", (error) => complaints.push(error.message))
      page.on("request", (request) => asked.push(request.url()))
      await page.goto(address)
      return { page, complaints, asked }
    }
  }
}
