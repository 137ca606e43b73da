/** A driver for machines without a GPU. */
import * as fs from "node:fs"

// Chromium brings a driver that dawn takes; Mesa's of Debian 12 is too old for it.
const swiftShader = "/usr/lib/chromium/vk_swiftshader_icd.json"

/** Lets Vulkan find it, here and in processes started from here, unless the caller's environment names one. */
export const useSoftwareVulkan = (): void => {
  if (process.env["VK_ICD_FILENAMES"] === undefined && fs.existsSync(swiftShader)) process.env["VK_ICD_FILENAMES"] = swiftShader
  process.env["XDG_RUNTIME_DIR"] ??= "/tmp"
}
