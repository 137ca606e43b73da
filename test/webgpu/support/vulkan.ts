/** A driver for machines without a GPU. */
import * as fs from "node:fs"

// Chromium brings a driver that dawn takes; Mesa's of Debian 12 is too old for it.
const swiftShader = "/usr/lib/chromium/vk_swiftshader_icd.json"

/** Variables with which Vulkan finds it; undefined where it is not installed. */
export const softwareVulkan = (): Readonly<Record<string, string>> | undefined =>
  fs.existsSync(swiftShader) ? { VK_ICD_FILENAMES: swiftShader, XDG_RUNTIME_DIR: "/tmp" } : undefined

/** Lets Vulkan find it, here and in processes started from here, unless the caller's environment names a driver. */
export const useSoftwareVulkan = (): void => {
  if (process.env["VK_ICD_FILENAMES"] === undefined) Object.assign(process.env, softwareVulkan())
}
