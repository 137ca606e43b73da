// Adds to package-lock.json the optional packages of other platforms that `npm install` left out because the registry it asked had no copy
// of them: without their entries `npm ci` takes the lock file for outdated. Run after every change of dependencies:
//   npm install --package-lock-only && node scripts/complete-lockfile.mjs
import * as fs from "node:fs"

const systems = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"]
const processors = ["arm64", "arm", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "wasm32", "x64"]
const alias = { windows: "win32", loongarch64: "loong64", powerpc64le: "ppc64", ppc64le: "ppc64", armv7: "arm", riscv64d: "riscv64" }

const file = new URL("../package-lock.json", import.meta.url)
const lock = JSON.parse(fs.readFileSync(file, "utf8"))
const added = []
for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`
    if (Object.keys(lock.packages).some((known) => known === key || known.endsWith(`/${key}`))) continue
    const words = name.split(/[/@_-]/).map((word) => alias[word] ?? word)
    const os = systems.filter((system) => words.includes(system))
    const cpu = processors.filter((processor) => words.includes(processor))
    if (os.length + cpu.length === 0) throw new Error(`${name}: an optional package that names no platform is missing from the lock file`)
    lock.packages[key] = {
      version: version.replace(/^[\^~]/, ""), ...(cpu.length > 0 ? { cpu } : {}), ...(entry.dev ? { dev: true } : {}), optional: true,
      ...(os.length > 0 ? { os } : {}), ...(words.includes("musl") ? { libc: ["musl"] } : {})
    }
    added.push(name)
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
fs.writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${added.length} entries added`)
