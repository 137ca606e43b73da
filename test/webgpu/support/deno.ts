/** Deno from the packages of scripts/install-test-packages. */
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

export const packageRoot = fileURLToPath(new URL("../../..", import.meta.url))
const packages = path.join(packageRoot, ".test-packages")

const binaries: Readonly<Record<string, string>> = {
  "linux-x64": "@deno/linux-x64-glibc", "linux-arm64": "@deno/linux-arm64-glibc", "darwin-arm64": "@deno/darwin-arm64", "darwin-x64": "@deno/darwin-x64"
}

/** The program; undefined where it is not installed. */
export const denoPath = (): string | undefined => {
  const name = binaries[`${process.platform}-${process.arch}`]
  const file = name === undefined ? undefined : path.join(packages, "node_modules", name, "deno")
  return file !== undefined && fs.existsSync(file) ? file : undefined
}

/** Dawn's package for Node; undefined where it is not installed. */
export const dawnPath = (): string | undefined => {
  try {
    return createRequire(path.join(packages, "package.json")).resolve("webgpu")
  } catch {
    return undefined
  }
}
