/**
 * Preloaded into a server (`node --import`): counts the bytes that JavaScript copies by each of the calls that can copy a
 * tensor. Writes the counts to GLET_BENCH_COPIES/<pid>.json on SIGUSR2. Calls below `floorBytes` are left out: they are headers.
 */
import * as fs from "node:fs"
import * as path from "node:path"

const floorBytes = 4096
const counts = new Map()
const count = (call, bytes) => {
  if (bytes < floorBytes) return
  const entry = counts.get(call) ?? { calls: 0, bytes: 0 }
  entry.calls++
  entry.bytes += bytes
  counts.set(call, entry)
}

/** Replaces `owner[name]` by itself with a count in front; `bytesOf` gets `this` and the arguments. */
const watch = (owner, name, label, bytesOf) => {
  const original = owner[name]
  Object.defineProperty(owner, name, {
    configurable: true,
    writable: true,
    value: function(...args) {
      const bytes = bytesOf(this, args)
      if (Number.isFinite(bytes)) count(label, bytes)
      return Reflect.apply(original, this, args)
    }
  })
}

const sizeOf = (value) => (typeof value === "string" ? value.length : value?.byteLength ?? (Array.isArray(value) ? value.length * 4 : 0))
const typedArray = Object.getPrototypeOf(Uint8Array.prototype)
watch(typedArray, "set", "TypedArray.set", (_, [source]) => sizeOf(source))
watch(typedArray, "slice", "TypedArray.slice", (self, [from = 0, to = self.length]) => Math.max(0, to - from) * self.BYTES_PER_ELEMENT)
watch(typedArray, "copyWithin", "TypedArray.copyWithin", (self) => self.byteLength)
watch(ArrayBuffer.prototype, "slice", "ArrayBuffer.slice", (self, [from = 0, to = self.byteLength]) => Math.max(0, to - from))
watch(Buffer.prototype, "copy", "Buffer.copy", (self, [target, at = 0, from = 0, to = self.length]) => Math.min(target.length - at, to - from))
watch(Buffer.prototype, "write", "Buffer.write", (_, [text]) => text.length)
watch(Buffer.prototype, "toString", "Buffer.toString", (self, [, from = 0, to = self.length]) => to - from)
watch(Buffer.prototype, "latin1Slice", "Buffer.latin1Slice", (self, [from = 0, to = self.length]) => to - from)
watch(Buffer.prototype, "utf8Slice", "Buffer.utf8Slice", (self, [from = 0, to = self.length]) => to - from)
watch(Buffer, "concat", "Buffer.concat", (_, [list]) => list.reduce((sum, part) => sum + part.length, 0))
watch(Buffer, "from", "Buffer.from", (_, [source]) => (source instanceof ArrayBuffer || source instanceof SharedArrayBuffer ? 0 : sizeOf(source)))
watch(Float32Array, "from", "Float32Array.from", (_, [source]) => sizeOf(source))
watch(globalThis, "structuredClone", "structuredClone", (_, [value]) => sizeOf(value))

process.on("SIGUSR2", () => {
  const file = path.join(process.env.GLET_BENCH_COPIES, `${process.pid}.json`)
  fs.writeFileSync(file + ".part", JSON.stringify(Object.fromEntries(counts)))
  fs.renameSync(file + ".part", file)
})
