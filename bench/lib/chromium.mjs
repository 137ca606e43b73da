/** The Chromium that page benches drive. */
import * as fs from "node:fs"

const executablePath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((file) => file !== undefined && fs.existsSync(file))

/** How it is launched, with nothing of its own to do. Throws where there is none. */
export const chromiumOptions = () => {
  if (executablePath === undefined) throw new Error("there is no Chromium: scripts/install-test-packages installs it, or set CHROMIUM")
  return {
    executablePath, headless: true,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
  }
}
